// The tasks of an investigator, an auditor and an operator, with every click and key counted.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { ask, open, settled, shownTotal, startAll } from './page.mjs'

let all
before(async () => {
  all = await startAll()
})
after(() => all?.stop())

test('T1: what alice did, and what she was refused', async () => {
  const { page, done } = await open(all, '/console/')
  await settled(page)
  await page.keyboard.press('/')
  await page.keyboard.type('al')
  await page.waitForSelector('[role=option] >> text=alice')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.waitForURL(/actor\.name/u)
  await settled(page)
  const did = await shownTotal(page)
  const { total } = await ask(page, '/api/v1/events?limit=0&actor.name=alice')
  assert.equal(did, total)
  await page.click('.facets button.only[aria-label^="Only Failure"]')
  await page.waitForURL(/outcome/u)
  await settled(page)
  const refused = await ask(page, '/api/v1/events?limit=0&actor.name=alice&outcome=failure')
  assert.equal(await shownTotal(page), refused.total)
  assert.equal(await page.locator('tbody td.outcome').count(), refused.total)
  await done()
})

test('T2: all that happened to a resource, in two clicks', async () => {
  const { page, done } = await open(all, '/console/search?q=actor%3Aalice')
  await settled(page)
  await page.click('td.resource:has-text("library/ubuntu") >> nth=0')
  await page.click('text=Open resource')
  await page.waitForSelector('h1:has-text("library/ubuntu")')
  const text = await page.textContent('.head a')
  const { total } = await ask(page, '/api/v1/events?limit=0&resource.name=library/ubuntu')
  assert.equal(text, `${total} events`)
  await page.waitForSelector('text=Last 2026-')
  await done()
})

test('T3: what happened around a time, then closer', async () => {
  const { page, done } = await open(all, '/console/')
  await settled(page)
  await page.keyboard.press('g')
  await page.keyboard.type('2026-11-20 18:06')
  await page.keyboard.press('Enter')
  await page.waitForSelector('dialog', { state: 'detached' })
  await settled(page)
  const first = await page.textContent('tbody td.time >> nth=0')
  assert.match(first, /2026-11-20/u)
  await page.goto(`${all.server.url}/console/search`)
  await settled(page)
  const box = await page.locator('[role=slider]').boundingBox()
  await page.mouse.move(box.x + 5, box.y + 20)
  await page.mouse.down()
  await page.mouse.move(box.x + 60, box.y + 20)
  await page.mouse.up()
  await page.waitForURL(/after=.*before=/u)
  await settled(page)
  const narrow = await shownTotal(page)
  await page.keyboard.press('Backspace')
  await page.waitForURL((url) => !url.search.includes('before'))
  await settled(page)
  assert.ok((await shownTotal(page)) > narrow)
  await done()
})

test('T4: prove one event, and hand over a whole result', async () => {
  const { page, done } = await open(all, '/console/search?q=actor%3Aalice&event=41')
  await page.click('[role=tab]:has-text("Integrity")')
  await page.waitForSelector('text=This event is in the log, unchanged.')
  const [proof] = await Promise.all([
    page.waitForEvent('download'), page.click('text=Download the proof'),
  ])
  assert.equal(proof.suggestedFilename(), 'event-41.tlog-proof')
  assert.match(readFileSync(await proof.path(), 'utf8'), /^c2sp\.org\/tlog-proof@v1\n/u)
  const shown = await shownTotal(page)
  await page.click('button:has-text("Export")')
  const [file] = await Promise.all([
    page.waitForEvent('download'), page.click('dialog a:has-text("Download")'),
  ])
  const rows = readFileSync(await file.path(), 'utf8').trimEnd().split('\r\n')
  assert.equal(rows.length - 1, shown)
  const [manifest] = await Promise.all([
    page.waitForEvent('download'), page.click('dialog button:has-text("Manifest")'),
  ])
  await page.click('dialog a:has-text("Check a file")')
  await page.setInputFiles('input[type=file]', [
    { name: 'file.csv', mimeType: 'text/csv', buffer: readFileSync(await file.path()) },
    { name: 'manifest.json', mimeType: 'application/json', buffer: readFileSync(await manifest.path()) },
  ])
  await page.waitForSelector('text=the file is what the manifest says')
  await page.setInputFiles('input[type=file]', [
    { name: 'file.csv', mimeType: 'text/csv', buffer: Buffer.from('other') },
    { name: 'manifest.json', mimeType: 'application/json', buffer: readFileSync(await manifest.path()) },
  ])
  await page.waitForSelector('text=The file has another length.')
  await done()
})

test('T5: the badge is in sight, and is green only with a pinned key', async () => {
  const { page, done } = await open(all, '/console/')
  await page.waitForSelector('header a.signed')
  await page.click('header a.signed')
  const key = (await page.textContent('.keys .code')).trim()
  await page.fill('input.code', 'not a key')
  await page.click('button:has-text("Pin")')
  await page.waitForSelector('text=This is not a verifier key.')
  await page.fill('input.code', key)
  await page.click('button:has-text("Pin")')
  await page.waitForSelector('header a.verified')
  await page.click('nav a:has-text("Sources")')
  await page.click('button:has-text("hub")')
  await page.waitForSelector('text=received')
  await done()
})

test('a log that lies is red on every screen, and stays red', async () => {
  const { page, context } = await open(all, '/console/')
  await page.waitForSelector('header a.signed')
  await context.route('**/tlog/checkpoint', async (route) => {
    const response = await route.fetch()
    const text = await response.text()
    const size = Number(text.split('\n')[1])
    await route.fulfill({ response, body: text.replace(`\n${size}\n`, `\n${size - 1}\n`) })
  })
  await page.goto(`${all.server.url}/console/trails`)
  await page.waitForSelector('header a.failed')
  await context.unroute('**/tlog/checkpoint')
  await page.goto(`${all.server.url}/console/`)
  await page.waitForSelector('header a.failed')
  await context.close()
})

test('an altered event does not verify', async () => {
  const { page, context } = await open(all, '/console/')
  await page.waitForSelector('header a.signed')
  await context.route('**/api/v1/events/41', async (route) => {
    const response = await route.fetch()
    const body = (await response.text()).replaceAll('alice', 'mallory')
    await route.fulfill({ response, body })
  })
  await page.goto(`${all.server.url}/console/event/41`)
  await page.click('[role=tab]:has-text("Integrity")')
  await page.waitForSelector('[role=alert] >> text=Does not verify')
  await page.waitForSelector('header a.failed')
  await context.close()
})

test('Back, reload and a new tab show the same', async () => {
  const { page, done } = await open(all, '/console/search?q=outcome%3Afailure')
  await settled(page)
  const total = await shownTotal(page)
  await page.click('tbody tr >> nth=2 >> td.actor')
  await page.waitForSelector('.drawer')
  const { href } = new URL(page.url())
  await page.reload()
  await page.waitForSelector('.drawer h1')
  assert.equal(page.url(), href)
  await page.goBack()
  await page.waitForSelector('.drawer', { state: 'detached' })
  await settled(page)
  assert.ok((await shownTotal(page)) >= total)
  await done()
})

test('keys move rows, tabs, pages and ranges', async () => {
  const { page, done } = await open(all, '/console/search?q=-trail%3Adbaudit%2Fdaybook%2F*%2F*&size=50')
  await settled(page)
  for (const key of ['j', 'j', 'k']) await page.keyboard.press(key)
  assert.equal(await page.locator('tr.keyed').count(), 1)
  await page.keyboard.press('Enter')
  await page.waitForSelector('.drawer')
  await page.keyboard.press('2')
  await page.waitForSelector('text=Bytes as received')
  await page.keyboard.press('j')
  assert.equal(await page.locator('tr.open').count(), 1)
  await page.keyboard.press('Escape')
  await page.waitForSelector('.drawer', { state: 'detached' })
  await page.keyboard.press('n')
  await page.waitForURL(/page=2/u)
  await settled(page)
  await page.keyboard.press('p')
  await page.waitForURL((url) => !url.search.includes('page='))
  await page.keyboard.press('t')
  await page.waitForSelector('th:has-text("Europe/Berlin")')
  await page.keyboard.press('?')
  await page.waitForSelector('dialog >> text=query bar')
  await page.keyboard.press('Escape')
  await page.waitForSelector('dialog', { state: 'detached' })
  await done()
})

test('a refused question marks its place and offers the fix', async () => {
  const { page, wrong } = await open(all, '/console/')
  await settled(page)
  await page.keyboard.press('/')
  await page.keyboard.type('acotr:alice')
  await page.keyboard.press('Enter')
  await page.click('button:has-text("Write actor")', { timeout: 5000 })
  await page.waitForURL(/q=actor%3Aalice/u, { timeout: 5000 })
  await settled(page)
  assert.ok((await shownTotal(page)) > 0)
  assert.ok(wrong.every((one) => one.includes('400')), wrong.join('\n'))
  await page.close()
})

test('pages, bars, facets and the total agree', async () => {
  const { page, done } = await open(all, '/console/')
  const questions = ['', 'outcome:failure', 'actor:alice -outcome:success', 'operation:pull,push', 'ip:127.0.0.1']
  for (const q of questions) {
    const full = `${q} -trail:dbaudit/daybook/*/*`.trim()
    await page.goto(`${all.server.url}/console/search?${new URLSearchParams({ q: full, size: '50' })}`)
    await settled(page)
    const shown = await shownTotal(page)
    const { total } = await ask(page, `/api/v1/events?${new URLSearchParams({ q: full, limit: '0' })}`)
    assert.equal(shown, total, q)
    const counts = await page.$$eval('.facets section:nth-of-type(2) .count', (all) =>
      all.map((one) => Number(one.textContent.replaceAll(/\D/gu, ''))))
    if (!q.includes('operation')) assert.equal(counts.reduce((a, b) => a + b, 0), total, q)
    const seen = new Set()
    for (;;) {
      for (const link of await page.$$eval('tbody td.time a', (all) => all.map((one) => one.getAttribute('href')))) {
        assert.ok(!seen.has(link), link)
        seen.add(link)
      }
      if (await page.isDisabled('.pager button[aria-label="Next page"]')) break
      const before = page.url()
      await page.keyboard.press('n')
      await page.waitForURL((url) => url.href !== before)
      await page.waitForFunction(() => document.querySelector('table.dimmed') === null)
      await page.waitForTimeout(250)
    }
    assert.equal(seen.size, total, q)
  }
  await done()
})
