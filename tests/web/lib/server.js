import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env.SORI_BINARY ?? new URL('../../../target/debug/sori', import.meta.url).pathname;
/** Longest time from the start to the line with the address, in milliseconds. */
const START = 60_000;

/** `sori serve` of its own, with an empty data directory, on ports that the system chooses. */
export async function startServer() {
  const data = await mkdtemp(join(tmpdir(), 'sori-web-'));
  const child = spawn(
    BINARY,
    ['serve', '--data', data, '--domain', 'example.org', '--sip', 'udp:127.0.0.1:0', '--http', '127.0.0.1:0'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const found = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address after ${START} ms: ${text}`)), START);
    const read = (chunk) => {
      text += chunk;
      const origin = /console\s+(http:\/\/127\.0\.0\.1:\d+)/.exec(text)?.[1];
      const password = /sign in as admin with the password (\S+)/.exec(text)?.[1];
      if (!origin || !password) return;
      clearTimeout(timer);
      resolve({ origin, password });
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`sori serve ended with ${code}: ${text}`)));
  });
  return {
    ...found,
    output: () => text,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(data, { recursive: true, force: true });
    },
  };
}
