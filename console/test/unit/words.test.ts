import assert from 'node:assert/strict'
import { test } from 'node:test'

import { shorten } from '../../src/words/cells.ts'
import { en } from '../../src/words/en.ts'
import { cut, isSuspicious, visible } from '../../src/words/visible.ts'
import { zh } from '../../src/words/zh.ts'

test('what cannot be seen is shown', () => {
  const labels = (text: string) =>
    visible(text).filter((one) => one.kind === 'hidden').map((one) => (one as { label: string }).label)
  assert.deepEqual(labels('evil\u202egpj.exe'), ['U+202E'])
  assert.deepEqual(labels('a\u200bb\u00a0c\u0000d\u001b[31m\ufeff\u2066'), [
    'U+200B', 'U+00A0', 'U+0000', 'U+001B', 'U+FEFF', 'U+2066',
  ])
  assert.deepEqual(labels('x\ud800y'), ['U+D800'])
  assert.deepEqual(labels('tag \u{e0041}'), ['U+E0041'])
  assert.deepEqual(labels('plain ü 李 \u{1f600}'), [])
})

test('words of several scripts are marked, and others are not', () => {
  const mixed = visible('login \u0430dmin ok').find((one) => one.kind === 'mixed')
  assert.deepEqual(mixed, { kind: 'mixed', text: '\u0430dmin', label: '\u0430 U+0430' })
  assert.equal(isSuspicious('админ admin 管理员 naïve Ångström'), false)
})

test('pieces are the whole text, and line feeds stay in blocks', () => {
  const text = 'a\n\t\u202eb \u0430dmin'
  assert.equal(visible(text, true).map((one) => one.text).join(''), text)
  assert.equal(visible('a\nb').some((one) => one.kind === 'hidden'), true)
  assert.equal(visible('a\nb', true).some((one) => one.kind === 'hidden'), false)
})

test('long texts are cut in the middle', () => {
  assert.equal(cut('abcdefghij', 5), 'abc…j')
  assert.equal(shorten(`x@sha256:${'ab'.repeat(32)}`), 'x@sha256:abababab…abab')
})

test('both languages have all texts', () => {
  const paths = (value: unknown, path: string): string[] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, one]) => paths(one, `${path}.${name}`))
      : [`${path}:${typeof value}`]
  assert.deepEqual(paths(en, '').sort(), paths(zh, '').sort())
})
