// Pictures of every page: node screenshots.js FOLDER [PAGE…]
import { mkdir } from 'node:fs/promises';
import { launch, openPage } from './lib/browser.js';
import { startMock } from './lib/mock.js';

const [folder = 'screenshots', ...only] = process.argv.slice(2);
const PAGES = ['status', 'calls', 'registrations', 'records', 'accounts', 'groups', 'rules', 'trunks', 'settings', 'blocks', 'administrators', 'logs', 'audit'];
const LOOKS = [
  { language: 'en', dark: false, width: 1280 },
  { language: 'ko', dark: false, width: 1280 },
  { language: 'en', dark: true, width: 1280 },
  { language: 'ko', dark: true, width: 1280 },
  { language: 'en', dark: false, width: 360 },
  { language: 'ko', dark: false, width: 360 },
  { language: 'en', dark: true, width: 360 },
  { language: 'ko', dark: true, width: 360 },
];

await mkdir(folder, { recursive: true });
const { origin, stop } = await startMock();
const browser = await launch();
try {
  for (const look of LOOKS) {
    const { context, page, faults } = await openPage(browser, origin, { ...look, height: look.width === 360 ? 780 : 860 });
    const shoot = (name) => page.screenshot({ path: `${folder}/${name}-${look.language}-${look.dark ? 'dark' : 'light'}-${look.width}.png`, fullPage: true });
    await page.goto('/');
    await page.locator('input[name=name]').waitFor();
    if (!only.length) await shoot('sign-in');
    await page.locator('input[name=name]').fill('admin');
    await page.locator('input[name=password]').fill('admin');
    await page.locator('button[type=submit]').click();
    await page.locator('nav').first().waitFor({ state: 'attached' });
    for (const name of PAGES.filter((name) => !only.length || only.includes(name))) {
      await page.goto(`/#/${name}`);
      await page.locator('h1').waitFor();
      await page.waitForLoadState('load');
      await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
      await page.waitForFunction(() => document.fonts.status === 'loaded');
      await shoot(name);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) console.log(`${name} ${JSON.stringify(look)} is ${over} px too wide`);
    }
    for (const fault of faults) console.log(fault);
    await context.close();
  }
} finally {
  await browser.close();
  stop();
}
