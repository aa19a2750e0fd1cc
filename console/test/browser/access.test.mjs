// axe on every screen, light and dark, in both languages; narrow windows; screenshots.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { open, startAll } from './page.mjs'

const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']
const SCREENS = {
  search: '/console/search?q=-trail%3Adbaudit%2Fdaybook%2F*%2F*',
  drawer: '/console/search?q=actor%3Aalice&event=41',
  empty: '/console/search?q=actor%3Anobody-at-all',
  event: '/console/event/41',
  resource: '/console/resource?name=library%2Fubuntu',
  trails: '/console/trails',
  sources: '/console/sources?name=hub',
  rejected: '/console/rejected',
  integrity: '/console/integrity',
  compare: '/console/compare?events=41,43',
}
const SHOTS = process.env.CONSOLE_SHOTS

let all
before(async () => {
  all = await startAll()
  if (SHOTS !== undefined) mkdirSync(SHOTS, { recursive: true })
})
after(() => all?.stop())

for (const theme of ['light', 'dark']) {
  for (const locale of ['en-US', 'zh-CN']) {
    test(`axe finds nothing: ${theme}, ${locale}`, async () => {
      const { page, done } = await open(all, '/console/', { colorScheme: theme, locale, bypassCSP: true })
      const violations = []
      for (const [name, path] of Object.entries(SCREENS)) {
        await page.goto(all.server.url + path)
        await page.waitForSelector('main')
        await page.waitForTimeout(900)
        await page.evaluate(AXE)
        const found = await page.evaluate(
          (tags) => window.axe.run(document, { runOnly: tags }), TAGS)
        violations.push(...found.violations.map((one) =>
          `${name}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.html.slice(0, 160)} ${node.failureSummary}`).join(' | ')}`))
        if (SHOTS !== undefined) await page.screenshot({ path: `${SHOTS}/${name}-${theme}-${locale.slice(0, 2)}.png` })
      }
      assert.deepEqual(violations, [])
      await done()
    })
  }
}

test('nothing is wider than a window of 320 px', async () => {
  const { page, done } = await open(all, '/console/', { viewport: { width: 320, height: 640 } })
  for (const [name, path] of Object.entries(SCREENS)) {
    await page.goto(all.server.url + path)
    await page.waitForSelector('main')
    await page.waitForTimeout(600)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(width <= 320, `${name} is ${width} wide`)
  }
  await done()
})
