// The way of an administrator through the console, in headless Chromium, against `sori serve`.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import axe from 'axe-core';
import { launch, openPage } from './lib/browser.js';
import { startServer } from './lib/server.js';

const PASSWORD = 'four ordinary words here';
const OPERATOR = 'an operator who works daily';
const HOSTILE = '<img src=x onerror="window.harm=1"><script>window.harm=1</script>';
const PAGES = ['status', 'calls', 'registrations', 'records', 'accounts', 'groups', 'rules', 'trunks', 'settings', 'administrators', 'logs', 'audit'];

let server, browser, context, page, faults;

before(async () => {
  server = await startServer();
  browser = await launch();
  ({ context, page, faults } = await openPage(browser, server.origin));
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

// What was on the screen when a test failed.
afterEach(async (context) => {
  if (context.passed === false && process.env.SORI_FAILURES) {
    await page.screenshot({ path: `${process.env.SORI_FAILURES}/${context.name.replace(/\W+/g, '-')}.png` });
  }
});

const button = (name, within = page) => within.getByRole('button', { name, exact: true });
const dialog = () => page.getByRole('dialog');
const row = (text) => page.getByRole('row').filter({ hasText: text });

async function go(name) {
  await page.goto(`/#/${name}`);
  await page.locator('main h1').waitFor();
  await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
}

async function signIn(name, password) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in').click();
}

async function checkAccessible(what) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  const told = found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary}`));
  assert.deepEqual(told, [], what);
}

async function downloaded(action) {
  const [download] = await Promise.all([page.waitForEvent('download'), action()]);
  return readFile(await download.path(), 'utf8');
}

test('the first sign-in leads to a password of one’s own', async () => {
  await page.goto('/');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await checkAccessible('sign in');
  await signIn('admin', 'not the password');
  await page.getByText('The name or the password is wrong.').waitFor();
  await signIn('admin', server.password);
  await page.getByRole('heading', { name: 'Choose your own password' }).waitFor();
  await checkAccessible('first password');
  await page.goto('/#/accounts');
  await page.getByRole('heading', { name: 'Choose your own password' }).waitFor();
  await page.getByLabel('Current password').fill(server.password);
  await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('New password again').fill('something else');
  await button('Change password').click();
  await page.getByText('The two passwords are not the same.').waitFor();
  await page.getByLabel('New password again').fill(PASSWORD);
  await button('Change password').click();
  await page.getByRole('heading', { name: 'Accounts' }).waitFor();
});

test('a beginner is told what comes first', async () => {
  await go('status');
  await page.getByRole('heading', { name: 'First steps' }).waitFor();
  await page.getByText('There are no accounts yet.').waitFor();
  await page.getByRole('link', { name: 'Go to Accounts' }).click();
  await page.getByRole('heading', { name: 'Accounts', exact: true }).waitFor();
});

test('fifty accounts are made at once, and their passwords are not lost by one key', async () => {
  await go('accounts');
  await button('Create many').click();
  await page.getByLabel('First number').fill('1001');
  await page.getByLabel('Last number').fill('1050');
  await page.getByLabel('Display name').fill('Desk #');
  await page.getByText('Makes 50 accounts.').waitFor();
  await button('Create', dialog()).click();
  await page.getByRole('heading', { name: 'Passwords' }).waitFor({ timeout: 60_000 });
  await page.keyboard.press('Escape');
  await page.getByText('Close without keeping the passwords?').waitFor();
  await button('Cancel', dialog().filter({ hasText: 'Close without' })).click();
  await page.getByRole('heading', { name: 'Passwords' }).waitFor();
  const csv = await downloaded(() => button('Download CSV').click());
  const lines = csv.trim().split('\r\n');
  assert.equal(lines[0], 'address,password');
  assert.equal(lines.length, 51);
  assert.match(lines[1], /^1001@example\.org,\S{12,}$/);
  assert.equal(new Set(lines.map((line) => line.split(',')[1])).size, 51, 'every password is another');
  await button('Close', dialog().locator('footer')).click();
  await page.getByText('50 in all').waitFor();
});

test('a table is checked before it is imported, line by line', async () => {
  await go('accounts');
  const table = await downloaded(() => page.getByRole('link', { name: 'Export CSV' }).click());
  assert.equal(table.trim().split(/\r?\n/).length, 51);
  await button('Import CSV').click();
  const wrong = `user,display_name\n2001,"${HOSTILE.replaceAll('"', '""')}"\nnot a user,x\n2002,Second\n`;
  await page.getByLabel('CSV file').setInputFiles({ name: 'a.csv', mimeType: 'text/csv', buffer: Buffer.from(wrong) });
  await page.getByText('2 accounts would be created and 0 changed.').waitFor();
  await dialog().getByRole('row').filter({ hasText: 'user' }).last().waitFor();
  assert.match(await dialog().getByRole('row').last().innerText(), /^3\b/);
  await checkAccessible('import with errors');
  await button('Import', dialog()).click();
  await page.getByRole('heading', { name: 'Passwords' }).waitFor();
  await downloaded(() => button('Download CSV').click());
  await button('Close', dialog().locator('footer')).click();
  await page.getByLabel('Search').fill('2001');
  await page.getByText('1 found').waitFor();
  await page.getByText(HOSTILE).waitFor();
  assert.equal(await page.evaluate(() => window.harm), undefined);
});

test('an account gets aliases and forwarding', async () => {
  await go('accounts');
  await button('Edit 1001@example.org').click();
  await page.getByLabel('Aliases').fill('reception +8225550101');
  await page.getByLabel('When busy').fill('1002');
  await page.getByLabel('Always', { exact: true }).fill('not a number <');
  await button('Save', dialog()).click();
  await dialog().locator('[aria-invalid=true]').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('name')), 'forwards.always');
  await page.getByLabel('Always', { exact: true }).fill('');
  await button('Save', dialog()).click();
  await page.getByText('1001@example.org was saved.').waitFor();
  await row('reception, +8225550101').waitFor();
});

test('a trunk, a rule, and the box that says why', async () => {
  await go('trunks');
  await button('Create trunk').click();
  await page.getByLabel('Name', { exact: true }).fill('Provider');
  await page.getByLabel('Host').fill('127.0.0.1');
  await page.getByLabel('By address').check();
  // Nobody listens there: it is taken as reachable only when nobody asks.
  await page.getByText('More settings').click();
  await page.getByLabel('Seconds between checks').fill('0');
  await button('Create', dialog()).click();
  await row('Provider').waitFor();

  await go('rules');
  for (const [name, number] of [['Premium', '060.'], ['Outside', '9.']]) {
    await button('Create rule').click();
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('Number', { exact: true }).fill(number);
    if (name === 'Premium') await page.getByLabel('Action', { exact: true }).selectOption('reject');
    else await page.getByLabel('Provider').check();
    await button('Create', dialog()).click();
    await row(name).waitFor();
  }
  await page.getByLabel('Dialled number').fill('901012345678');
  await page.getByLabel('Caller').fill('1001');
  await button('Try').click();
  await page.getByText('Goes to trunks').waitFor();
  await row('Outside').filter({ hasText: 'Matches' }).waitFor();
  await row('Premium').filter({ hasText: 'Does not match' }).waitFor();
  await checkAccessible('try it');

  await button('Move Outside up').focus();
  await page.keyboard.press('Enter');
  await page.getByText('Outside is now at place 1 of 2.').waitFor({ state: 'attached' });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Move Outside down');
  await page.reload();
  await row('1. Outside').waitFor();
});

test('a group', async () => {
  await go('groups');
  await button('Create group').click();
  await page.getByLabel('Name', { exact: true }).fill('Support');
  await page.getByLabel('Number').fill('3000');
  await page.getByLabel('Members').fill('1001\n1002');
  await button('Create', dialog()).click();
  await row('Support').filter({ hasText: '3000' }).waitFor();
  await go('rules');
  await page.getByLabel('Dialled number').fill('3000');
  await button('Try').click();
  await row('Group').filter({ hasText: '3000 is the group Support' }).waitFor();
});

test('settings are kept', async () => {
  await go('settings');
  await page.getByLabel('Calls at once of an account').fill('3');
  await button('Save').click();
  await page.getByText('Saved.').waitFor();
  await page.reload();
  await page.getByLabel('Calls at once of an account').waitFor();
  assert.equal(await page.getByLabel('Calls at once of an account').inputValue(), '3');
});

test('a session that ended is taken up again with what was typed', async () => {
  await go('accounts');
  await button('Create account').click();
  await page.getByLabel('User name or number').fill('carol');
  const cookies = await context.cookies();
  await context.clearCookies();
  await button('Create', dialog()).click();
  const again = dialog().filter({ hasText: 'Sign in again' });
  await again.getByLabel('Password').fill(PASSWORD);
  await button('Sign in', again).click();
  await page.getByText('carol@example.org was created.').waitFor();
  assert.notDeepEqual(await context.cookies(), cookies);
  await downloaded(() => button('Download CSV').click());
  await button('Close', dialog().locator('footer')).click();
});

test('every page can be used by everybody, in both languages, light and dark, wide and narrow', async () => {
  for (const [scheme, width, language] of [['light', 1280, 'English'], ['dark', 360, '한국어']]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width: 1280, height: 860 });
    await button(language).click();
    await page.setViewportSize({ width, height: 860 });
    assert.equal(await page.locator('html').getAttribute('lang'), language === 'English' ? 'en' : 'ko');
    for (const name of PAGES) {
      await go(name);
      assert.equal(await page.locator('main .problem').count(), 0, `${name}: ${await page.locator('main').innerText()}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(over, 0, `${name} at ${width}`);
      await checkAccessible(`${name} ${scheme} ${language}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 860 });
  await button('English').click();
});

test('an operator does the daily work and no more', async () => {
  await go('administrators');
  await button('Add administrator').click();
  await page.getByLabel('Name', { exact: true }).fill('oper');
  await page.getByLabel('Password', { exact: true }).fill('given by the boss');
  await button('Create', dialog()).click();
  await row('oper').waitFor();
  await button('Sign out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await signIn('oper', 'given by the boss');
  if (await page.getByRole('heading', { name: 'Choose your own password' }).or(page.getByRole('heading', { name: 'Administrators' })).or(page.getByText('There is no such page.')).first().innerText() === 'Choose your own password') {
    await page.getByLabel('Current password').fill('given by the boss');
    await page.getByLabel('New password', { exact: true }).fill(OPERATOR);
    await page.getByLabel('New password again').fill(OPERATOR);
    await button('Change password').click();
  }
  await go('settings');
  await page.getByLabel('Calls at once of an account').waitFor();
  assert.equal(await page.getByLabel('Calls at once of an account').isDisabled(), true);
  assert.equal(await button('Restart').count(), 0);
  assert.equal(await page.getByRole('link', { name: 'Administrators' }).count(), 0);
  await page.goto('/#/administrators');
  await page.getByText('There is no such page.').waitFor();
  const answers = await page.evaluate(async () => {
    const put = await fetch('/api/settings', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{}' });
    const stop = await fetch('/api/server/stop', { method: 'POST' });
    return [put.status, stop.status, (await fetch('/api/administrators')).status];
  });
  assert.deepEqual(answers, [403, 403, 403]);
  await go('accounts');
  await page.getByText('53 in all').waitFor();
});

test('who signed out is out, and nothing went wrong unseen', async () => {
  await button('Sign out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await page.evaluate(async () => (await fetch('/api/accounts')).status), 401);
  assert.deepEqual(faults, []);
});
