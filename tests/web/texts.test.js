// Both languages say the same things, and no text for people stands outside of their tables.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../../web/', import.meta.url));
const load = createRequire(join(WEB, 'package.json'));
const { parse } = load('svelte/compiler');
const { buildSync } = load('esbuild');

async function table(language) {
  const built = buildSync({ entryPoints: [join(WEB, `src/i18n/${language}/index.ts`)], bundle: true, format: 'esm', write: false });
  const module = await import(`data:text/javascript;base64,${Buffer.from(built.outputFiles[0].contents).toString('base64')}`);
  return module[language];
}

/** Every text with its path; functions are called with their own parameters' places. */
function texts(value, path = '') {
  if (typeof value === 'string') return [[path, value]];
  if (typeof value === 'function') return [[path, value(...Array.from({ length: value.length }, (_, i) => `{${i}}`))]];
  return Object.entries(value).flatMap(([name, inner]) => texts(inner, path ? `${path}.${name}` : name));
}

const parameters = (text) => [...new Set(text.match(/\{\d\}/g) ?? [])].sort().join();

test('English and Korean have the same texts, with the same parameters', async () => {
  const [en, ko] = [texts(await table('en')), new Map(texts(await table('ko')))];
  assert.deepEqual([...ko.keys()].sort(), en.map(([path]) => path).sort());
  for (const [path, text] of en) assert.equal(parameters(ko.get(path)), parameters(text), path);
});

test('Korean texts are Korean', async () => {
  const names = /^(common\.product|devices\.makers\..*|records\.enders\.)$/;
  const foreign = texts(await table('ko')).filter(([path, text]) => !names.test(path) && !/\p{Script=Hangul}/u.test(text));
  const symbols = foreign.filter(([, text]) => /\p{L}/u.test(text.replace(/\{\d\}/g, '')));
  assert.deepEqual(symbols, []);
});

test('components hold no text of their own', async () => {
  const told = new Set(['title', 'label', 'aria-label', 'placeholder', 'alt', 'help', 'lead', 'caption', 'empty', 'action', 'text']);
  // Names that are the same in every language.
  const allowed = new Set(['JSON', '1001', '1050', 'ms', '✓']);
  const found = [];
  const look = (node, file) => {
    if (!node || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach((inner) => look(inner, file));
    if (node.type === 'Text' && /\p{L}/u.test(node.data) && !allowed.has(node.data.trim())) found.push(`${file}: ${node.data.trim()}`);
    if (node.type === 'Attribute') {
      if (!told.has(node.name)) {
        return (Array.isArray(node.value) ? node.value : [node.value]).forEach((part) => part?.type === 'ExpressionTag' && look(part, file));
      }
    }
    for (const [name, inner] of Object.entries(node)) if (name !== 'parent' && name !== 'loc') look(inner, file);
  };
  const files = (await readdir(join(WEB, 'src'), { recursive: true })).filter((name) => name.endsWith('.svelte'));
  assert.ok(files.length > 40, 'the components are found');
  for (const file of files) look(parse(await readFile(join(WEB, 'src', file), 'utf8'), { modern: true }).fragment, file);
  assert.deepEqual(found, []);
});

test('cells that a calculating program would run are only text', async () => {
  const built = buildSync({ entryPoints: [join(WEB, 'src/lib/files.ts')], bundle: true, format: 'esm', write: false });
  const { csv } = await import(`data:text/javascript;base64,${Buffer.from(built.outputFiles[0].contents).toString('base64')}`);
  assert.equal(csv([['=1+1', '@x', '-2', '+82105550123', 'a,"b"']]), `'=1+1,'@x,'-2,+82105550123,"a,""b"""\r\n`);
});
