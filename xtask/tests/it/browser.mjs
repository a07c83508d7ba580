// Opens pages in headless Chromium and says what it saw, as JSON on stdout.
//
//   node browser.mjs [--screenshots DIR] PAGE.html...
//
// It speaks the DevTools protocol over a pipe (https://chromedevtools.github.io/devtools-protocol/): messages between NUL bytes on file
// descriptors 3 and 4. That needs no package, no port and no WebSocket. What is evaluated here is not bound by the page's own policy.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const args = process.argv.slice(2);
const screenshots = args[0] === '--screenshots' ? args.splice(0, 2)[1] : null;

const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'drill-browser-'));
const browser = spawn(
  process.env.CHROMIUM ?? 'chromium',
  ['--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--no-first-run', '--disable-gpu', '--disable-dev-shm-usage',
    '--disable-background-networking', '--disable-component-update', '--hide-scrollbars', `--user-data-dir=${profile}`, 'about:blank'],
  { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
);
browser.on('error', (error) => {
  console.error(error.message);
  process.exit(127);
});

let last = 0;
const waiting = new Map();
const events = [];
let wake = () => {};
let rest = '';
browser.stdio[4].setEncoding('utf8').on('data', (chunk) => {
  const messages = (rest + chunk).split('\0');
  rest = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    } else {
      events.push(message);
      wake();
    }
  }
});

const send = (method, params = {}, sessionId) =>
  new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    browser.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });

const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
const tab = (method, params) => send(method, params, sessionId);
const evaluate = async (expression) => {
  const { result, exceptionDetails } = await tab('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};
const event = async (method) => {
  for (;;) {
    const at = events.findIndex((one) => one.method === method);
    if (at >= 0) return events.splice(at, 1)[0];
    await new Promise((resolve) => (wake = resolve));
  }
};

const look = (width, scheme, media = 'screen') =>
  Promise.all([
    tab('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false }),
    tab('Emulation.setEmulatedMedia', { media, features: [{ name: 'prefers-color-scheme', value: scheme }] }),
  ]);

const shoot = async (page, width, scheme) => {
  if (!screenshots) return;
  const { cssContentSize } = await tab('Page.getLayoutMetrics');
  const clip = { x: 0, y: 0, width, height: Math.min(cssContentSize.height, 6000), scale: 1 };
  const { data } = await tab('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip });
  fs.writeFileSync(path.join(screenshots, `${path.basename(page, '.html')}-${width}-${scheme}.png`), Buffer.from(data, 'base64'));
};

// Runs in the page. Text that the reader cannot tell from its background is as good as missing (WCAG: 4.5 to 1).
const faint = () => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('svg, script')) continue;
    const [one, other] = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) found.add(`${element.tagName}.${element.className}`);
  }
  return [...found];
};

const read = async (page) => {
  events.length = 0;
  await look(1280, 'light');
  await tab('Page.navigate', { url: pathToFileURL(page).href });
  await event('Page.loadEventFired');
  const seen = { title: await evaluate('document.title'), verdict: await evaluate('document.querySelector("h1").innerText') };
  seen.overflow = [];
  seen.faint = [];
  seen.stuck = [];
  for (const [width, scheme] of [[1280, 'light'], [1280, 'dark'], [400, 'light'], [400, 'dark']]) {
    await look(width, scheme);
    if (await evaluate('document.documentElement.scrollWidth > innerWidth')) seen.overflow.push(width);
    // What is wider than the page scrolls by itself, and whoever has no mouse must get there, too.
    seen.stuck.push(...(await evaluate(`[...document.querySelectorAll('main table')].map((table) => table.parentElement)
      .filter((box) => box.scrollWidth > box.clientWidth && (box.tabIndex < 0 || !box.getAttribute('aria-label'))).map((box) => box.outerHTML.slice(0, 80))`)));
    seen.faint.push(...(await evaluate(`(${faint})()`)).map((name) => `${scheme}: ${name}`));
    await shoot(page, width, scheme);
  }
  seen.above = await evaluate('(() => { scrollTo(0, 0); return document.querySelector(".headline").getBoundingClientRect().bottom < innerHeight })()');
  seen.scripts = await evaluate('document.scripts.length');
  seen.alien = await evaluate('document.querySelectorAll("img:not(.plot), iframe, object, embed, [onerror], [onload], [style]").length');
  seen.ran = await evaluate('"owned" in globalThis');
  seen.folded = await evaluate('document.querySelectorAll("details:not([open])").length');
  await look(1280, 'light', 'print');
  seen.hiddenInPrint = await evaluate(
    '[...document.querySelectorAll("details > :not(summary)")].filter((part) => part.textContent.trim() && part.getBoundingClientRect().height === 0).length',
  );
  await shoot(page, 1280, 'print');
  await look(1280, 'light');
  seen.search = await evaluate(`(() => {
    const field = document.querySelector('#filter');
    if (!field) return null;
    const say = (word) => { field.value = word; field.dispatchEvent(new Event('input')); };
    const before = document.querySelector('#logs').textContent;
    say('FINDME');
    const found = { total: document.querySelector('output[for=filter]').textContent, marks: document.querySelectorAll('mark').length,
      open: document.querySelectorAll('details.log[open]').length };
    say('');
    return { ...found, restored: before === document.querySelector('#logs').textContent };
  })()`);
  seen.steps = await evaluate(`(() => {
    const field = document.querySelector('#search-steps');
    if (!field || field.parentElement.hidden) return null;
    const say = (word) => { field.value = word; field.dispatchEvent(new Event('input')); };
    say('step 19');
    const total = document.querySelector('output[for=search-steps]').textContent;
    say('');
    return total;
  })()`);
  // A step's name leads to its log, whose fold opens for that: the browser does it, since a script could not run here.
  await tab('Emulation.setScriptExecutionDisabled', { value: true });
  // The filter by verdict is chosen by keys, and needs no script.
  const shown = () => evaluate('[...document.querySelectorAll("#steps .step")].filter((row) => row.checkVisibility()).length');
  seen.chosen = [];
  if (await evaluate('(() => { const all = document.querySelector("#show-all"); all?.focus(); return Boolean(all); })()')) {
    const press = (type) => tab('Input.dispatchKeyEvent', { type, key: 'ArrowRight', code: 'ArrowRight', windowsVirtualKeyCode: 39 });
    for (let at = 0; at < 4; at++) {
      const name = await evaluate('document.querySelector("[name=show]:checked").value');
      if (at > 0 && name === 'all') break;
      seen.chosen.push([name, await shown()]);
      await press('keyDown');
      await press('keyUp');
    }
    await evaluate('document.querySelector("#show-all").checked = true');
  }
  seen.jump = await evaluate(`(() => {
    const link = [...document.querySelectorAll('#timeline a')].find((one) => !document.getElementById(one.hash.slice(1)).closest('details').open);
    return link ? link.hash : null;
  })()`);
  if (seen.jump) {
    await tab('Page.navigate', { url: pathToFileURL(page).href + seen.jump });
    const open = `document.getElementById(${JSON.stringify(seen.jump.slice(1))}).closest('details').open`;
    const until = Date.now() + 5000;
    while (!(await evaluate(open)) && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    seen.jump = await evaluate(open);
  }
  await tab('Emulation.setScriptExecutionDisabled', { value: false });
  const of = (method) => events.filter((one) => one.method === method).map((one) => one.params);
  seen.complaints = [
    ...of('Log.entryAdded').map(({ entry }) => entry.text),
    ...of('Runtime.exceptionThrown').map(({ exceptionDetails }) => exceptionDetails.text),
    ...of('Runtime.consoleAPICalled').map(({ type }) => `console.${type}`),
  ];
  const own = pathToFileURL(page).href;
  seen.requests = of('Network.requestWillBeSent').map(({ request }) => request.url).filter((url) => url !== own && !url.startsWith('data:'));
  return seen;
};

for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await tab(`${domain}.enable`);
const all = [];
for (const page of args) all.push(await read(path.resolve(page)));
console.log(JSON.stringify(all, null, 2));
const gone = new Promise((resolve) => browser.once('exit', resolve));
await send('Browser.close');
await gone;
fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
