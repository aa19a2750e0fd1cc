// A browser page that notes what must never happen: policy violations, errors, foreign requests.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'

import { chromium } from 'playwright-core'

import { startServer } from '../server.mjs'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))

export async function startAll() {
  const server = await startServer()
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  const first = await browser.newContext()
  const page = await first.newPage()
  await page.goto(server.link)
  await page.waitForSelector('#query')
  const state = await first.storageState()
  await first.close()
  const stop = async () => {
    await browser.close()
    server.stop()
  }
  return { server, browser, cookies: state.cookies, stop }
}

/** A page of its own context, signed in, with everything that went wrong on it. */
export async function open(all, path, options = {}) {
  const context = await all.browser.newContext({
    viewport: { width: 1440, height: 900 }, locale: 'en-US', timezoneId: 'Europe/Berlin',
    acceptDownloads: true, ...options,
  })
  await context.addCookies(all.cookies)
  const page = await context.newPage()
  const wrong = []
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text())
  })
  page.on('pageerror', (error) => wrong.push(error.message))
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(all.server.url) && !/^(data|blob):/u.test(url)) wrong.push(`request: ${url}`)
  })
  await page.goto(all.server.url + path)
  await page.waitForSelector('main')
  const done = async () => {
    assert.deepEqual(wrong, [])
    await context.close()
  }
  return { page, done, wrong, context }
}

/** Waits until rows and totals of the search are there. */
export async function settled(page) {
  await page.waitForFunction(
    () => document.querySelector('.totals b') !== null && document.querySelector('.waits') === null,
  )
  await page.waitForTimeout(150)
}

/** The exact total that the screen shows. */
export async function shownTotal(page) {
  const text = await page.textContent('.totals b')
  const numbers = text.replaceAll(/[,.\u00a0\u202f](?=\d{3})/gu, '').match(/\d+/gu) ?? ['0']
  return Number(numbers.at(-1))
}

/** Asks the server itself, as the page does. */
export function ask(page, path) {
  return page.evaluate(async (asked) => {
    const response = await fetch(asked, { headers: { 'X-Daybook-Console': '1' } })
    return response.json()
  }, path)
}
