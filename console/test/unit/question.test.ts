import assert from 'node:assert/strict'
import { test } from 'node:test'

import { homeState, readSearch, withoutOwn, writeSearch } from '../../src/question/address.ts'
import { accept, atOnce, targetAt, valueSuggestion } from '../../src/question/complete.ts'
import {
  colours, FIELDS, is, nearest, parse, print, standing, takeTimes, toggle, toggleWithout,
} from '../../src/question/terms.ts'
import type { Term } from '../../src/question/terms.ts'
import { instant, meaning, moved, show, showEvent, wider } from '../../src/question/time.ts'

/** A generator with a seed, so that a failure can be run again. */
function random(seed: number) {
  let state = seed
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return Math.floor((state / 0x80000000) * below)
  }
  return next
}

const LETTERS = [...'abcxyz019-_.:/*"\\, <>=!~()[]{}$ANDOR\u202e中文аé\u0000']

test('10,000 random questions read back as they were written', () => {
  const next = random(41)
  for (let round = 0; round < 10_000; round += 1) {
    const terms = Array.from({ length: 1 + next(4) }, () => {
      const field = next(3) === 0 ? undefined : fieldOf(next)
      const count = field === undefined ? 1 : 1 + next(3)
      const values = Array.from({ length: count }, () => valueOf(next, field))
      const term: Pick<Term, 'isExcluded' | 'field' | 'values'> = { isExcluded: next(2) === 0, values }
      if (field !== undefined) term.field = field
      return term
    })
    const text = terms.map(print).join(' ')
    const read = parse(text).map(({ isExcluded, field, values }) =>
      field === undefined ? { isExcluded, values } : { isExcluded, field, values },
    )
    assert.deepEqual(read, terms, text)
    assert.equal(parse(text).some((term) => term.isBroken), false, text)
    assert.equal(colours(text).map((piece) => piece.text).join(''), text)
  }
})

function fieldOf(next: (below: number) => number): string {
  const place = next(FIELDS.length + 2)
  return FIELDS[place] ?? (place === FIELDS.length ? 'attr.host' : 'attr.a "b":c')
}

function valueOf(next: (below: number) => number, field: string | undefined) {
  const length = 1 + next(8)
  const text = Array.from({ length }, () => LETTERS[next(LETTERS.length)]).join('')
  return { text, isPrefix: field !== 'trail' && next(4) === 0 }
}

test('the parser never fails, whatever is typed', () => {
  const next = random(7)
  for (let round = 0; round < 10_000; round += 1) {
    const text = Array.from({ length: next(30) }, () => LETTERS[next(LETTERS.length)]).join('')
    for (const term of parse(text)) assert.ok(term.end > term.start)
    assert.equal(colours(text).map((piece) => piece.text).join(''), text)
    for (let cursor = 0; cursor <= text.length; cursor += 1) {
      const target = targetAt(text, cursor)
      if (target !== undefined) assert.ok(target.start <= cursor && cursor <= target.end)
    }
  }
})

test('a click on a value makes a list, and a second click takes it back', () => {
  const one = toggle('alice', 'operation', 'pull', false)
  assert.equal(one, 'alice operation:pull')
  const two = toggle(one, 'operation', 'push', false)
  assert.equal(two, 'alice operation:pull,push')
  assert.equal(toggle(two, 'operation', 'pull', false), 'alice operation:push')
  assert.equal(toggle(one, 'operation', 'pull', true), 'alice -operation:pull')
  assert.equal(toggle('alice -operation:pull', 'operation', 'pull', true), 'alice')
  assert.equal(standing(two, 'operation', 'push'), 'only')
  assert.equal(toggleWithout(one, 'operation'), 'alice -operation:*')
  assert.equal(toggleWithout('alice -operation:*', 'operation'), 'alice')
  assert.equal(is('resource.name', 'a name, "b"*'), 'resource.name:"a name, \\"b\\"*"')
})

test('times move from the bar into the time control', () => {
  const times = takeTimes('after:-24h alice before:2026-11-01')
  assert.deepEqual(times, { text: 'alice', after: '-24h', before: '2026-11-01' })
})

test('completion replaces the value at the cursor and nothing else', () => {
  const text = 'actor:al resource:x'
  const target = targetAt(text, 8)
  assert.deepEqual(target, { start: 6, end: 8, field: 'actor', beginning: 'al' })
  const suggestion = valueSuggestion(target!, 'actor.name', 'alice b', 3)
  assert.deepEqual(accept(text, target!, suggestion)[0], 'actor:"alice b" resource:x')
  const second = targetAt('operation:pull,pu', 17)!
  assert.deepEqual(atOnce(second).map((one) => one.label), ['pull', 'push'])
  assert.deepEqual(accept('operation:pull,pu', second, atOnce(second)[1]!)[0], 'operation:pull,push ')
  const bare = targetAt('al', 2)!
  assert.equal(valueSuggestion(bare, 'actor.name', 'alice', 9).insert, 'actor.name:alice')
  assert.equal(nearest('acotr'), 'actor')
})

test('times are read in the zone that is shown, also when clocks change', () => {
  const now = Date.UTC(2026, 11, 1, 12)
  const at = (text: string, zone: string) => instant(meaning(text, now, zone)!)
  assert.equal(at('yesterday 03:12', 'UTC'), '2026-11-30T03:12:00Z')
  assert.equal(at('2026-11-29 03:12', 'Asia/Shanghai'), '2026-11-28T19:12:00Z')
  assert.equal(at('2026-07-01 00:00', 'Europe/Berlin'), '2026-06-30T22:00:00Z')
  assert.equal(at('2026-03-29 02:30', 'Europe/Berlin'), '2026-03-29T01:30:00Z')
  assert.equal(at('2026-10-25 02:30', 'Europe/Berlin'), '2026-10-25T00:30:00Z')
  assert.equal(at('2026-11-01 01:30', 'America/New_York'), '2026-11-01T05:30:00Z')
  assert.equal(at('12:30', 'Asia/Kolkata'), '2026-12-01T07:00:00Z')
  assert.equal(at('-24h', 'Asia/Kolkata'), '2026-11-30T12:00:00Z')
  assert.equal(at('2026-11-01T10:30:00+08:00', 'UTC'), '2026-11-01T02:30:00Z')
  assert.equal(meaning('soon', now), undefined)
  assert.equal(meaning('25:00', now), undefined)
  assert.equal(meaning('2026-13-01', now), undefined)
  assert.equal(show(Date.UTC(2026, 5, 1), 'Asia/Kolkata'), '2026-06-01 05:30:00')
})

test('fractions of a second only as far as the source tells', () => {
  const time = '2026-11-20T18:06:27.741025658Z'
  assert.equal(showEvent(time, 's', 'UTC'), '2026-11-20 18:06:27')
  assert.equal(showEvent(time, 'ms', 'UTC'), '2026-11-20 18:06:27.741')
  assert.equal(showEvent(time, 'ns', 'UTC'), '2026-11-20 18:06:27.741025658')
})

test('ranges move by their width and widen around their middle', () => {
  assert.deepEqual(moved(10_000, 20_000, -1), {
    after: '1970-01-01T00:00:00Z', before: '1970-01-01T00:00:10Z',
  })
  assert.deepEqual(wider(10_000, 20_000), {
    after: '1970-01-01T00:00:05Z', before: '1970-01-01T00:00:25Z',
  })
})

test('the address is the state', () => {
  const state = {
    ...homeState(), q: 'a:"b c" -d', after: '-7d', before: '2026-01-01', page: 3, size: 50,
    order: 'asc' as const, cols: ['time', 'attr.a b'], asOf: 99, event: '41',
  }
  const [, query] = writeSearch(state).split('?')
  assert.deepEqual(readSearch(new URLSearchParams(query)), state)
  assert.equal(writeSearch({ ...homeState(), q: '', after: '' }), '/console/search')
  const odd = readSearch(new URLSearchParams('page=-1&size=7&as_of=x&cols='))
  assert.deepEqual([odd.page, odd.size, odd.asOf, odd.cols.length], [1, 100, 0, 7])
  assert.equal(withoutOwn('-trail:dbaudit/daybook/*/* a'), 'a')
})
