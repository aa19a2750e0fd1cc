// Texts of an attacker, sent through the real intake, on every screen.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { ask, open, settled, shownTotal, startAll } from './page.mjs'

const TEXTS = JSON.parse(readFileSync('test/hostile.json', 'utf8'))
const LONG = `long-${'x'.repeat(20_000)}`
const RUN = Math.random().toString(16).slice(2, 10)

let all
before(async () => {
  all = await startAll()
  const events = [...TEXTS, LONG].map((text, place) => ({
    id: `hostile-${RUN}-${place}`, timestamp: new Date().toISOString(), action: 'pull',
    target: { repository: text, mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'ab'.repeat(32)}` },
    request: { id: `${RUN}-${place}`, addr: '192.0.2.66:1', useragent: text.slice(0, 200), method: 'GET' },
    actor: { name: text },
  }))
  const response = await fetch(`${process.env.CONSOLE_INTAKE_URL ?? all.server.url}/intake/hub`, {
    method: 'POST', body: JSON.stringify({ events }),
    headers: {
      Authorization: `Bearer ${all.server.intake}`,
      'Content-Type': 'application/vnd.docker.distribution.events.v1+json',
    },
  })
  assert.equal(response.status, 200, await response.text())
})
after(() => all?.stop())

test('texts of events do nothing and hide nothing, on every screen', async () => {
  const { page, done } = await open(all, '/console/search?q=ip%3A192.0.2.66')
  await settled(page)
  assert.ok((await shownTotal(page)) >= TEXTS.length)
  const text = await page.textContent('tbody')
  for (const label of ['U+202E', 'U+200B', 'U+001B', 'U+0430']) assert.ok(text.includes(label), label)
  assert.equal(await page.title(), 'Search · Daybook')
  const { events } = await ask(page, '/api/v1/events?ip=192.0.2.66&limit=100')
  for (const event of events) {
    await page.goto(`${all.server.url}/console/event/${event.index}`)
    for (const tab of ['As received', 'Related', 'Integrity', 'Seen by', 'Overview']) {
      await page.click(`[role=tab]:has-text("${tab}")`)
    }
    await page.waitForSelector('.sentence')
    assert.equal(await page.title(), 'Event · Daybook')
    const isLong = event.actor.name.length > 3_000
    assert.equal(await page.locator('text=Open actor').count(), isLong ? 0 : 1)
    if (isLong) continue
    await page.click('text=Open actor')
    await page.waitForSelector('main h1')
  }
  const indexes = events.slice(0, 5).map((event) => event.index).join()
  await page.goto(`${all.server.url}/console/compare?events=${indexes}`)
  await page.waitForSelector('table')
  await done()
})

test('a click on any value asks for exactly that value', async () => {
  const { page, done } = await open(all, '/console/search?q=ip%3A192.0.2.66')
  await settled(page)
  const { events } = await ask(page, '/api/v1/events?ip=192.0.2.66&limit=100')
  const names = new Map()
  for (const { actor } of events) if (actor?.name) names.set(actor.name, (names.get(actor.name) ?? 0) + 1)
  for (const [name, count] of names) {
    if (name.length > 3_000) continue
    const row = events.findIndex((event) => event.actor?.name === name)
    const cell = page.locator(`tbody tr:nth-child(${row + 1}) td.actor`)
    await cell.hover()
    await cell.locator('button.more').click()
    await page.click('[role=menuitem]:has-text("Only this")')
    await page.waitForURL((url) => url.search.includes('actor.name'))
    await settled(page)
    await page.waitForFunction(() => document.querySelector('table.dimmed') === null)
    assert.equal(await shownTotal(page), count, name)
    await page.goBack()
    await page.waitForURL((url) => !url.search.includes('actor.name'))
    await settled(page)
    await page.waitForFunction((rows) => document.querySelectorAll('tbody tr').length === rows, events.length)
  }
  await done()
})
