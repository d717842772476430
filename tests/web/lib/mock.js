import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));

/** The built console with the mock behind it: for screenshots, and for work without a server. */
export async function startMock(world = 'full') {
  const child = spawn(process.execPath, ['node_modules/vite/bin/vite.js', 'preview', '--mode', 'mock', '--host', '127.0.0.1', '--port', '41730'], {
    cwd: WEB,
    env: { ...process.env, SORI_MOCK: world, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const origin = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text);
      if (found) resolve(found[0]);
    });
    child.once('exit', (code) => reject(new Error(`vite preview ended with ${code}: ${text}`)));
  });
  return { origin, stop: () => child.kill() };
}
