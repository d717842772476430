import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { chromium } from 'playwright-core';

const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Chromium that talks to this machine alone; CHROMIUM names another program than Debian's. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
    ],
  });
}

/**
 * A page that notes what a person would never see but must not happen: errors of scripts, breaches of the content
 * security policy, requests to another host.
 */
export async function openPage(browser, origin, { language = 'en', dark = false, width = 1280, height = 860 } = {}) {
  const context = await browser.newContext({
    baseURL: origin,
    locale: language === 'ko' ? 'ko-KR' : 'en-GB',
    colorScheme: dark ? 'dark' : 'light',
    viewport: { width, height },
    reducedMotion: 'reduce',
    acceptDownloads: true,
  });
  if (process.env.SORI_DIST) await context.route((url) => !url.pathname.startsWith('/api/'), (route) => fromFolder(route, process.env.SORI_DIST));
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith('http') && host !== new URL(origin).host) faults.push(`foreign request: ${request.url()}`);
  });
  return { context, page, faults };
}

/** The console of a folder instead of the one in the binary, for work on it without a build of the binary. */
async function fromFolder(route, folder) {
  const { pathname } = new URL(route.request().url());
  const file = pathname === '/' ? '/index.html' : pathname;
  const headers = { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': POLICY };
  await readFile(join(folder, file)).then(
    (body) => route.fulfill({ body, headers }),
    () => route.fulfill({ status: 404 }),
  );
}
