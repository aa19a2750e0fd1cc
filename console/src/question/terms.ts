/**
 * The search language of docs/search.md: text to terms and back.
 *
 * The server decides what a question means. This module only needs to know where terms begin and
 * end, so that the bar can colour them and a click can add, change or remove one without touching
 * the rest of what somebody typed.
 */

/** A value of a term: whole, or the beginning of one (`library/*`). */
export interface Value {
  text: string
  isPrefix: boolean
}

/** A condition of a question, with its place in the text. */
export interface Term {
  isExcluded: boolean
  /** Absent for a word that may stand in any text. */
  field?: string
  values: Value[]
  start: number
  /** Where the values begin, behind the sign and the field. */
  valuesAt: number
  end: number
  /** What the server will refuse: a quote that does not end, a value that is missing. */
  isBroken: boolean
}

/** Fields of the search, in the order in which they are suggested. */
export const FIELDS = [
  'actor', 'resource', 'operation', 'outcome', 'ip', 'trail', 'source', 'severity', 'action',
  'actor.name', 'actor.id', 'actor.type', 'resource.name', 'resource.id', 'resource.type', 'class',
  'service', 'tenant', 'project', 'instance', 'instance_id', 'code', 'reason', 'request_id',
  'trace_id', 'description', 'user_agent', 'after', 'before',
] as const

/** Values of the fields that have few. */
export const CLOSED: Record<string, readonly string[]> = {
  outcome: ['success', 'failure', 'unknown'],
  operation: [
    'create', 'update', 'delete', 'read', 'pull', 'push', 'mount', 'upload', 'download', 'login',
    'logout', 'exec', 'grant', 'configure', 'other',
  ],
  severity: ['1', '2', '3', '4'],
  class: ['operation', 'security'],
  'actor.type': ['user', 'robot', 'service', 'anonymous', 'system', 'unknown'],
  service: ['registry', 'artifact', 'database', 'platform', 'dbaudit'],
}

const OPERATORS = /^[=!<>~]+$/
const COMPARISON = /^([a-z._]+)[=!<>~]/

function isSpace(character: string | undefined): boolean {
  return character !== undefined && /\s/u.test(character)
}

export function isField(name: string): boolean {
  return (FIELDS as readonly string[]).includes(name) || /^attr\../u.test(name)
}

/** Reads the terms of a question. It never fails: what the server refuses is marked as broken. */
export function parse(text: string): Term[] {
  const terms: Term[] = []
  let at = 0
  while (at < text.length) {
    if (isSpace(text[at])) {
      at += 1
      continue
    }
    const [term, end] = readTerm(text, at)
    terms.push(term)
    at = end
  }
  return terms
}

function readTerm(text: string, start: number): [Term, number] {
  let at = start
  const term: Term = {
    isExcluded: false, values: [], start, valuesAt: start, end: start, isBroken: false,
  }
  if (text[at] === '-') {
    term.isExcluded = true
    at += 1
  }
  const [field, afterField] = readField(text, at)
  if (field !== undefined) {
    term.field = field
    at = afterField
  }
  term.valuesAt = at
  for (;;) {
    const [value, end, isWhole] = readValue(text, at, field)
    term.values.push(value)
    at = end
    if (!isWhole || (value.text === '' && !(value.isPrefix && field !== undefined))) {
      term.isBroken = true
    }
    if (field === undefined || text[at] !== ',') break
    at += 1
  }
  while (at < text.length && !isSpace(text[at])) {
    term.isBroken = true
    at += 1
  }
  term.end = at
  return [term, at]
}

/** The field at this place, and where its values begin. */
function readField(text: string, at: number): [string | undefined, number] {
  if (text.startsWith('attr."', at)) {
    const [name, end, isWhole] = readQuoted(text, at + 5)
    return isWhole && text[end] === ':' ? [`attr.${name}`, end + 1] : [undefined, at]
  }
  const rest = text.slice(at)
  const attribute = /^attr\.[^\s",:]+:/u.exec(rest)
  const plain = attribute ?? /^[a-z._]+:/u.exec(rest)
  return plain === null ? [undefined, at] : [plain[0].slice(0, -1), at + plain[0].length]
}

function readValue(text: string, at: number, field?: string): [Value, number, boolean] {
  const hasStars = field === 'trail'
  if (text[at] === '"') {
    const [inner, end, isWhole] = readQuoted(text, at)
    const isPrefix = !hasStars && text[end] === '*'
    return [{ text: inner, isPrefix }, isPrefix ? end + 1 : end, isWhole]
  }
  let end = at
  while (end < text.length && !isSpace(text[end]) && !(field !== undefined && text[end] === ',')) {
    end += 1
  }
  const word = text.slice(at, end)
  const isPrefix = !hasStars && word.endsWith('*')
  const inner = isPrefix ? word.slice(0, -1) : word
  return [{ text: inner, isPrefix }, end, !/"/.test(inner) && (hasStars || !inner.includes('*'))]
}

/** The text in quotes at this place, the place behind it, and whether the quote ends. */
function readQuoted(text: string, at: number): [string, number, boolean] {
  let inner = ''
  let place = at + 1
  while (place < text.length) {
    const character = text[place] as string
    if (character === '"') return [inner, place + 1, true]
    if (character === '\\') {
      const next = text[place + 1]
      if (next !== '"' && next !== '\\') return [inner, text.length, false]
      inner += next
      place += 2
      continue
    }
    inner += character
    place += 1
  }
  return [inner, text.length, false]
}

/** Whether a value needs no quotes. */
function isPlain(value: Value, field?: string): boolean {
  const { text, isPrefix } = value
  if (text === '' && !(field !== undefined && isPrefix)) return false
  if (/[\s"]/u.test(text)) return false
  if (text.includes('*') && field !== 'trail') return false
  if (/^\/.*[*+?[(|^$\\].*\/$/u.test(text)) return false
  if (field !== undefined) return !text.includes(',') && !/^[<>=]/u.test(text)
  return (
    !text.startsWith('-') &&
    !['AND', 'OR', 'NOT'].includes(text) &&
    readField(text, 0)[0] === undefined &&
    !text.startsWith('attr."') &&
    !OPERATORS.test(text) &&
    !COMPARISON.test(text)
  )
}

/** Writes a value so that the language reads exactly it. Every question made of data uses this. */
export function quote(value: Value, field?: string): string {
  const star = value.isPrefix ? '*' : ''
  if (isPlain(value, field)) return value.text + star
  return `"${value.text.replace(/["\\]/gu, '\\$&')}"${star}`
}

function printField(field: string): string {
  const name = field.startsWith('attr.') ? field.slice(5) : undefined
  if (name === undefined || (name !== '' && !/[\s",:]/u.test(name))) return `${field}:`
  return `attr."${name.replace(/["\\]/gu, '\\$&')}":`
}

export function print(term: Pick<Term, 'isExcluded' | 'field' | 'values'>): string {
  const values = term.values.map((value) => quote(value, term.field)).join(',')
  const field = term.field === undefined ? '' : printField(term.field)
  return (term.isExcluded ? '-' : '') + field + values
}

/** Longest value that a question and its address have room for: a search has 4,096 bytes. */
const SEARCHABLE_BYTES_MAX = 3_000

/** Whether a question can name this value. */
export function isSearchable(text: string): boolean {
  return text !== '' && new TextEncoder().encode(text).length <= SEARCHABLE_BYTES_MAX
}

/** A term that the field has exactly this value. */
export function is(field: string, text: string): string {
  return print({ isExcluded: false, field, values: [{ text, isPrefix: false }] })
}

function join(before: string, middle: string, after: string): string {
  return [before.trimEnd(), middle, after.trimStart()].filter((part) => part !== '').join(' ')
}

function replace(text: string, term: Term, by: string): string {
  return join(text.slice(0, term.start), by, text.slice(term.end))
}

export function append(text: string, term: string): string {
  return join(text, term, '')
}

function same(value: Value, text: string): boolean {
  return value.text === text && !value.isPrefix
}

/** How the question treats a value of a field. */
export function standing(text: string, field: string, value: string): 'only' | 'excluded' | 'none' {
  for (const term of parse(text)) {
    if (term.field === field && term.values.some((one) => same(one, value))) {
      return term.isExcluded ? 'excluded' : 'only'
    }
  }
  return 'none'
}

/** Whether the question has a term on the field's absence (`-field:*`). */
export function isWithout(text: string, field: string): boolean {
  return parse(text).some((term) => term.isExcluded && term.field === field && isAny(term))
}

function isAny(term: Term): boolean {
  return term.values.some((value) => value.text === '' && value.isPrefix)
}

/**
 * Toggles a value in the list of those that a field may have, or in the list of those that it must
 * not have. The value leaves the other list.
 */
export function toggle(text: string, field: string, value: string, isExcluded: boolean): string {
  const present = standing(text, field, value)
  let result = withoutValue(text, field, value)
  if (present === (isExcluded ? 'excluded' : 'only')) return result
  result = dropAny(result, field)
  const list = parse(result).find((term) => term.field === field && term.isExcluded === isExcluded)
  const added = { text: value, isPrefix: false }
  if (list === undefined) return append(result, print({ isExcluded, field, values: [added] }))
  return replace(result, list, print({ ...list, values: [...list.values, added] }))
}

function withoutValue(text: string, field: string, value: string): string {
  const term = parse(text).find(
    (one) => one.field === field && one.values.some((each) => same(each, value)),
  )
  if (term === undefined) return text
  const values = term.values.filter((one) => !same(one, value))
  const by = values.length === 0 ? '' : print({ ...term, values })
  return withoutValue(replace(text, term, by), field, value)
}

function dropAny(text: string, field: string): string {
  const term = parse(text).find((one) => one.field === field && isAny(one))
  return term === undefined ? text : dropAny(replace(text, term, ''), field)
}

/** Toggles "the field has no value". */
export function toggleWithout(text: string, field: string): string {
  if (isWithout(text, field)) return dropAny(text, field)
  const others = parse(text).filter((term) => term.field !== field)
  const any = print({ isExcluded: true, field, values: [{ text: '', isPrefix: true }] })
  return append(others.map((term) => text.slice(term.start, term.end)).join(' '), any)
}

/** Removes the term at this place of the list that `parse` gives. */
export function removeTerm(text: string, index: number): string {
  const term = parse(text)[index]
  return term === undefined ? text : replace(text, term, '')
}

export interface Times {
  text: string
  after?: string
  before?: string
}

/** Takes `after:` and `before:` out of a question: they belong to the time control. */
export function takeTimes(text: string): Times {
  const times: Times = { text }
  for (;;) {
    const term = parse(times.text).find(
      (one) =>
        (one.field === 'after' || one.field === 'before') &&
        !one.isExcluded && !one.isBroken && one.values.length === 1,
    )
    if (term === undefined) return times
    times[term.field as 'after' | 'before'] = (term.values[0] as Value).text
    times.text = replace(times.text, term, '')
  }
}

export type Kind = 'text' | 'name' | 'value' | 'minus' | 'error'

/** A piece of the bar's colour layer. All pieces together are the text. */
export interface Piece {
  kind: Kind
  text: string
}

/** Colours for the text of the bar. `column` is the server's, in characters from 1. */
export function colours(text: string, column?: number): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  const wrong = column === undefined || column < 1 ? -1 : unitOf(text, column - 1)
  for (const term of parse(text)) {
    if (term.start > at) pieces.push({ kind: 'text', text: text.slice(at, term.start) })
    pieces.push(...coloursOf(text, term, wrong >= term.start && wrong < term.end))
    at = term.end
  }
  if (at < text.length) pieces.push({ kind: 'text', text: text.slice(at) })
  return pieces
}

function unitOf(text: string, character: number): number {
  return [...text].slice(0, character).join('').length
}

function coloursOf(text: string, term: Term, isWrong: boolean): Piece[] {
  const whole = text.slice(term.start, term.end)
  if (isWrong) return [{ kind: 'error', text: whole }]
  const pieces: Piece[] = []
  let rest = whole
  if (term.isExcluded) {
    pieces.push({ kind: 'minus', text: '-' })
    rest = rest.slice(1)
  }
  const [field, end] = readField(rest, 0)
  if (field !== undefined) {
    pieces.push({ kind: isField(field) ? 'name' : 'error', text: rest.slice(0, end) })
    rest = rest.slice(end)
  }
  if (rest !== '') pieces.push({ kind: field === undefined ? 'text' : 'value', text: rest })
  return pieces
}

/** The known name nearest to a misspelt one, if any is near. */
export function nearest(name: string, names: readonly string[] = FIELDS): string | undefined {
  let best: string | undefined
  let least = 3
  for (const known of names) {
    const far = distance(name, known)
    if (far < least) [best, least] = [known, far]
  }
  return best
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, place) => place)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
