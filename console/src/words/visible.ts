/**
 * Makes visible what a text hides.
 *
 * Every text of an event may come from an attacker. Characters without a shape (controls, direction
 * marks, zero-width characters, unusual spaces, lone surrogates) become a boxed code point, and a
 * word whose letters come from several scripts gets a mark.
 */

export type Segment =
  | { kind: 'plain'; text: string }
  | { kind: 'hidden'; text: string; label: string }
  | { kind: 'mixed'; text: string; label: string }

// Everything of the categories Control, Format, Surrogate and unassigned, every space but U+0020,
// fillers that have no shape, and variation selectors.
const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0\u034f\u180b-\u180f\u2800\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u
const WORD = /[\p{L}\p{M}]+/gu
const SCRIPTS: [string, RegExp][] = [
  ['Latin', /\p{Script=Latin}/u],
  ['Cyrillic', /\p{Script=Cyrillic}/u],
  ['Greek', /\p{Script=Greek}/u],
  ['Armenian', /\p{Script=Armenian}/u],
  ['Hebrew', /\p{Script=Hebrew}/u],
  ['Arabic', /\p{Script=Arabic}/u],
  ['Cherokee', /\p{Script=Cherokee}/u],
  ['Georgian', /\p{Script=Georgian}/u],
]

export function codePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}

/** Whether a text has anything that `visible` would mark. */
export function isSuspicious(text: string): boolean {
  return visible(text).some((segment) => segment.kind !== 'plain')
}

/** The text in pieces. With `isBlock`, line feeds and tabs stay as they are. */
export function visible(text: string, isBlock = false): Segment[] {
  const segments: Segment[] = []
  let plain = ''
  for (const character of text) {
    const isKept = isBlock && (character === '\n' || character === '\t')
    if (isKept || !HIDDEN.test(character)) {
      plain += character
      continue
    }
    segments.push(...mixed(plain), {
      kind: 'hidden', text: character, label: codePoint(character),
    })
    plain = ''
  }
  return [...segments, ...mixed(plain)]
}

/** Plain text, with words of several scripts as pieces of their own. */
function mixed(text: string): Segment[] {
  const segments: Segment[] = []
  let at = 0
  for (const match of text.matchAll(WORD)) {
    const label = foreign(match[0])
    if (label === '') continue
    if (match.index > at) segments.push({ kind: 'plain', text: text.slice(at, match.index) })
    segments.push({ kind: 'mixed', text: match[0], label })
    at = match.index + match[0].length
  }
  if (at < text.length) segments.push({ kind: 'plain', text: text.slice(at) })
  return segments
}

/** The letters of a word that are not of its most frequent script, with their code points. */
function foreign(word: string): string {
  if (/^[\p{Script=Latin}\p{M}]*$/u.test(word)) return ''
  const counts = SCRIPTS.map(([name, script]) => ({
    name, script, count: [...word].filter((letter) => script.test(letter)).length,
  })).filter((one) => one.count > 0)
  if (counts.length < 2) return ''
  counts.sort((a, b) => b.count - a.count)
  const main = counts[0]?.script
  const strange = [...word].filter(
    (letter) => main !== undefined && !main.test(letter) && /\p{L}/u.test(letter),
  )
  return strange.map((letter) => `${letter} ${codePoint(letter)}`).join(', ')
}

/** A long text cut in the middle: digests and paths differ at their ends. */
export function cut(text: string, most: number): string {
  const characters = [...text]
  if (characters.length <= most) return text
  const head = Math.ceil((most - 1) * 0.6)
  const tail = most - 1 - head
  return `${characters.slice(0, head).join('')}…${characters.slice(-tail).join('')}`
}
