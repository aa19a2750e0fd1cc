/** The texts of the console in English. A text that another language lacks does not compile. */

import type { Piece } from './sentence.ts'

const locale = 'en'
const number = new Intl.NumberFormat(locale)
const n = (value: number): string => number.format(value)
const plural = (value: number, one: string, many: string): string =>
  `${n(value)} ${value === 1 ? one : many}`

const VERBS: Record<string, [string, string]> = {
  create: ['created', 'create'], update: ['changed', 'change'], delete: ['deleted', 'delete'],
  read: ['read', 'read'], pull: ['pulled', 'pull'], push: ['pushed', 'push'],
  mount: ['mounted', 'mount'], upload: ['uploaded', 'upload'],
  download: ['downloaded', 'download'], login: ['logged in to', 'log in to'],
  logout: ['logged out of', 'log out of'], exec: ['executed a command in', 'execute a command in'],
  grant: ['changed rights on', 'change rights on'], configure: ['configured', 'configure'],
}

export const en = {
  locale,
  n,
  language: 'English',
  otherLanguage: '中文',
  events: (count: number) => plural(count, 'event', 'events'),
  bytes: (count: number) => plural(count, 'byte', 'bytes'),

  nav: {
    search: 'Search', trails: 'Trails', sources: 'Sources', saved: 'Saved',
    integrity: 'Integrity', main: 'Main', skip: 'Skip to the results',
  },
  menu: {
    account: (name: string) => `Account: ${name}`, signOut: 'Sign out', theme: 'Theme',
    system: 'As the system', light: 'Light', dark: 'Dark', language: 'Language',
    density: 'Row height', dense: 'Dense', normal: 'Normal', wide: 'Wide',
    keys: 'Keyboard shortcuts', singleKeys: 'Single-key shortcuts', zone: 'Time zone',
    local: (zone: string) => `Local (${zone})`,
  },

  signIn: {
    title: 'Sign in', user: 'Name', password: 'Password', domain: 'Domain',
    withDomain: 'Another domain', submit: 'Sign in', wrong: 'Wrong name or password.',
    later: (seconds: number) => `Too many tries. Try again in ${n(seconds)} s.`,
    ended: 'The session has ended. Sign in again; the screen stays as it is.',
    codeUsed: 'The link in the address is used up or too old. Sign in with name and password.',
    failed: 'The server does not answer.', log: 'Log', version: 'Version',
  },

  bar: {
    label: 'Search', placeholder: 'Search: a name, an address, a digest, or field:value',
    run: 'Search', clear: 'Clear the search', suggestions: 'Suggestions', recent: 'Recent',
    field: 'field', use: (text: string) => `Write ${text}`, openEvent: 'Open event',
    onlyAddress: 'Only this address', hint: 'Tab takes the first, Enter searches',
  },
  chips: {
    own: 'Daybook’s own record is hidden', remove: 'Show it', presets: 'Presets',
    refused: 'Refused', logins: 'Logins', rights: 'Rights', deletes: 'Deletes', robots: 'Robots',
    ownLeftOut: (count: number) => `${plural(count, 'own event', 'own events')} left out`,
  },
  time: {
    range: 'Time range', earlier: 'Earlier', later: 'Later', from: 'From', until: 'Until',
    apply: 'Apply', now: 'now', start: 'the first event',
    preset: (text: string) => PRESET_NAMES[text] ?? text,
    since: (text: string) => `Since ${text}`, upTo: (text: string) => `Until ${text}`,
    means: (text: string) => `means ${text}`,
    bad: 'Not a time. Write 2026-11-01, 03:12, yesterday 03:12 or 24h.',
    reversed: 'The end is before the start.',
    help: 'As in the search: 2026-11-01T10:30, 24h, 7d, today. Also 03:12 and yesterday 03:12.',
    age: (ms: number) => `${age(ms)} ago`,
  },

  chart: {
    label: 'Events over time', bar: (text: string) => `Each bar ${text}`,
    width: (seconds: number) => width(seconds), hide: 'Hide chart', show: 'Show chart',
    from: (from: string, until: string) => `${from} – ${until}`,
    keys: 'Arrow keys move, Shift extends, Enter zooms, Backspace goes back.',
    back: 'Previous range', wider: 'Twice as wide', gapLane: 'Gaps',
    gap: (source: string, kind: string, count: number | null) =>
      `${source}: ${kind}${count === null ? '' : `, ${n(count)}`}`,
  },
  outcome: (value: string) =>
    ({ success: 'Success', failure: 'Failure', unknown: 'Unknown' })[value] ?? value,
  severity: (value: string | number) =>
    ({ 1: 'Normal', 2: 'Minor', 3: 'Major', 4: 'Critical' })[String(value)] ?? String(value),
  actorType: (value: string) =>
    ({
      user: 'User', robot: 'Robot', service: 'Service', anonymous: 'Anonymous', system: 'System',
      unknown: 'Unknown',
    })[value] ?? value,
  gapKind: (value: string) =>
    ({
      gap: 'numbers missing', dropped: 'dropped', truncated: 'cut short', silent: 'silent',
      lost: 'lost', not_running: 'server was not running',
    })[value] ?? value,

  facets: {
    label: 'Filters', name: (field: string) => FACET_NAMES[field] ?? field, others: 'others',
    none: 'no value', only: (value: string) => `Only ${value}`,
    exclude: (value: string) => `Exclude ${value}`, clear: 'Clear', more: 'Show more',
    fewer: 'Show fewer', add: 'More filters', retry: 'Try again',
    show: (count: number) => `Show ${plural(count, 'filter', 'filters')}`, close: 'Close filters',
  },
  table: {
    label: 'Events', columns: 'Columns', column: (name: string) => COLUMN_NAMES[name] ?? name,
    timeIn: (zone: string) => `Time (${zone})`, newestFirst: 'Newest first',
    oldestFirst: 'Oldest first', code: (code: string) => `code ${code}`, ok: 'ok',
    unknown: 'unknown', addColumn: 'Attribute', reset: 'Standard columns',
    marked: 'marked', more: 'Actions for this value', moveUp: 'Move left', moveDown: 'Move right',
  },
  totals: {
    of: (from: number, until: number, total: number) => `${n(from)}–${n(until)} of ${n(total)}`,
    none: 'No events', asOf: (time: string, size: number) => `as of ${time}, log size ${n(size)}`,
    asOfSize: (size: number) => `as of log size ${n(size)}`, unpin: 'As of now',
    fresh: (count: number) => `${n(count)} new`,
    elapsed: (seconds: number) => `${n(seconds)} s`, cancel: 'Cancel', searching: 'Searching',
  },
  pager: {
    label: 'Pages', page: 'Page', of: (count: number) => `of ${n(count)}`, previous: 'Previous page',
    next: 'Next page', first: 'First page', last: 'Last page', size: 'Rows',
    goTo: 'Go to time or event',
  },
  goTo: {
    title: 'Go to', label: 'A page, a time, or the number of an event',
    hint: '3 · 03:12 · yesterday 03:12 · #41', page: (page: number) => `Page ${n(page)}`,
    event: (index: number) => `Open event ${n(index)}`, time: (text: string) => `Around ${text}`,
    bad: 'Not a page, time or event.', go: 'Go',
  },
  value: {
    only: 'Only this', exclude: 'Exclude', copy: 'Copy', copyMarked: 'Copy, with hidden characters',
    openActor: 'Open actor', openResource: 'Open resource', openIp: 'Open address',
    hidden: (code: string) => `hidden character ${code}`,
    mixed: (letters: string) => `letters of another script: ${letters}`,
    copied: 'Copied', showAll: (count: number) => `Show all ${n(count)} characters`,
    tooLong: (count: number) => `${n(count)} bytes`,
  },

  event: {
    title: (index: number) => `Event ${n(index)}`, close: 'Close', previous: 'Previous event',
    next: 'Next event', overview: 'Overview', received: 'As received', related: 'Related',
    integrity: 'Integrity', readers: 'Seen by', open: 'Open page', copyLink: 'Copy link',
    search: 'Back to the search',
    who: 'Who', what: 'What', when: 'When', where: 'From where', how: 'Result', record: 'Record',
    attributes: 'Attributes', occurred: 'Happened', receivedAt: 'Received', index: 'Index',
    id: 'Id', number: 'Number in trail', source: 'Source', format: 'Format', trail: 'Trail',
    actor: 'Actor', type: 'Type', operation: 'Operation', action: 'Action', resource: 'Resource',
    resourceId: 'Resource id', outcome: 'Outcome', code: 'Code', reason: 'Reason',
    severity: 'Severity', class: 'Class', ip: 'Address', agent: 'User agent',
    description: 'Description', requestId: 'Request', traceId: 'Trace', region: 'Region',
    trust: (value: string) =>
      ({ peer: 'seen by Daybook', claimed: 'claimed', forwarded: 'claimed' })[value] ?? value,
    resolution: (value: string) =>
      ({ s: 'whole seconds', ms: 'milliseconds', us: 'microseconds', ns: 'nanoseconds' })[value] ??
      value,
    later: (ms: number) => `${age(ms)} after it happened`,
    raw: 'Bytes as received', base64: 'Not text; shown in base64', entry: 'Entry',
    digest: 'SHA-256 of the entry', copyRaw: 'Copy', wrap: 'Wrap lines',
    tooBig: (count: number) => `${n(count)} bytes, too many to show.`, download: 'Download',
    sameActor: 'Same actor, ten minutes around', sameResource: 'History of the resource',
    sameRequest: 'Same request', examined: 'Only a part of the log was examined for this.',
    notFound: 'There is no event with this number that you may read.',
    none: 'None.', linkFixed: 'Copied. Shows exactly this, also later.',
  },

  empty: {
    nothing: (range: string) => `Nothing in this range: ${range}.`,
    all: (count: number) => `${plural(count, 'event', 'events')} in all time`, show: 'Show',
    noneAtAll: 'Nothing matches in all time.', log: 'This log is empty.',
    first: 'Configure a source, then send a first event:',
    noRights: 'You may not read any trail yet.',
    ask: 'Ask whoever runs this server:', clear: 'Clear the search',
    range: (from: string, until: string) => `${from} – ${until}`,
    allTime: 'all time',
    shown: (range: string) => `Nothing in the last 24 hours. Shown: ${range}.`,
  },
  problem: {
    offline: 'The server does not answer. What was loaded stays in sight.',
    retry: 'Try again', request: 'Request',
    waiting: (seconds: number) => `The server is busy. Trying again in ${n(seconds)} s.`,
    at: (column: number) => `at character ${n(column)}`, failed: 'This failed.',
    client: 'This page failed. Reload it.',
  },
  shortcuts: {
    title: 'Keyboard shortcuts', off: 'Single keys are switched off.',
    list: [
      ['/', 'query bar'], ['j k ↓ ↑', 'next, previous row'], ['Enter o', 'open the event'],
      ['1 … 5', 'tabs of the event'], ['f', 'filters; Enter only, x exclude'],
      ['n p', 'next, previous page'], ['g', 'go to page, time or event'],
      ['[ ]', 'earlier, later'], ['z', 'twice as wide'], ['Backspace', 'range before'],
      ['v', 'verify the open event'], ['r', 'again as of now'], ['l', 'live'], ['e', 'export'],
      ['x =', 'mark a row, compare those marked'], ['c', 'copy link'], ['h', 'chart'], ['t', 'time zone'],
      ['?', 'this list'], ['Esc', 'close the topmost thing'],
    ] as [string, string][],
  },
  close: 'Close',
  copied: 'Copied',
  loading: 'Loading',
  notFound: 'There is no such page.',
  toSearch: 'Go to the search',

  live: {
    live: 'Live', stop: 'Stop', paused: (count: number) => `Paused · ${n(count)} waiting`,
    following: (count: number) => `Live · ${n(count)} rows`, show: 'Show them',
    elsewhere: 'Another tab of this browser is live. This one waits.',
    overflow: 'More than 5,000 wait. A search shows all of them.', search: 'Search them',
    again: 'Again as of now',
  },
  export: {
    button: 'Export', title: (count: number) => `Export ${plural(count, 'event', 'events')}`,
    question: 'Question', everything: 'all events', format: 'Format',
    formats: (name: string) =>
      ({ csv: 'CSV for spreadsheets', ndjson: 'NDJSON', parquet: 'Parquet', ocsf: 'OCSF' })[name] ?? name,
    note: 'All of them, from every trail that you may read. This export is recorded under your name.',
    download: 'Download', manifest: 'Manifest, signed', making: 'The server makes the manifest',
    check: 'Check a file', resume: 'Goes on where it broke off:',
  },
  sources: {
    state: 'State', name: 'Source', lastHeard: 'Last heard', received: 'received',
    recorded: 'recorded', duplicate: 'duplicate', rejected: 'rejected', skipped: 'skipped',
    lost: 'lost', never: 'never', lag: 'lag', lastEvent: 'Newest event',
    since: (time: string) => `Counted since ${time}`, allRejected: 'Rejected records',
    seconds: (count: number) => age(Math.abs(count) * 1000),
    silentAfter: (seconds: number) => `silent after ${age(seconds * 1000)}`,
    noSilence: 'silence is not watched', none: 'No source that you may see is configured.',
    noGaps: 'No gap is known.',
    health: (state: string, since: string, behind: number) =>
      ({
        heard: 'Heard', quiet: 'Quiet', silent: `Silent since ${since}`, losing: 'Losing',
        behind: `Behind ${plural(behind, 'byte', 'bytes')}`, never: 'Never heard',
      })[state] ?? state,
    explain: {
      recorded: 'Recorded: events of the log.',
      duplicate: 'Duplicate: recorded before. Many mean that the sender does not get our responses.',
      rejected: 'Rejected: stored with the reason. Any mean that the format changed, or the source is configured for another.',
      skipped: 'Skipped: not recorded by rule, such as other stages of a request.',
    },
    loss: (name: string) =>
      ({
        missing: 'Numbers that never arrived', lost_bytes: 'Bytes of files that were gone before they were read',
        file_gaps: 'Parts of files that were gone', dropped_by_daybook: 'Datagrams dropped by Daybook',
        dropped_by_kernel: 'Datagrams dropped by the kernel', truncated: 'Events that the source had cut',
        unfollowed: 'Streams that were not followed', refused: 'Bodies refused',
        connections_refused: 'Connections refused',
      })[name] ?? name,
    whatToDo: (state: string) =>
      ({
        losing: 'Look what happened between source and server at the time of the gap. The source can send its copy again, which fills the gap.',
        silent: 'Look whether the source runs and reaches this server. Its first event ends the silence.',
        behind: 'The server reads the file more slowly than it grows. It catches up by itself when the source is calmer.',
      })[state] ?? '',
  },
  rejected: {
    title: 'Rejected records', record: 'Rejected record', everySource: 'Every source',
    withRetried: 'With those retried', choose: 'Choose', number: 'Number', beginning: 'Beginning',
    bytes: 'Bytes', none: 'None.', about: 'Records that a source sent and Daybook could not read. They are stored with the reason and are never deleted.',
    retry: (count: number) => (count === 0 ? 'Try again' : `Try ${plural(count, 'record', 'records')} again`),
    willHappen: 'The records are parsed again with today’s settings of their source. Events that come of it are recorded as of now, and the retry is recorded under your name. What fails stays as it is.',
    result: (number: number, recorded: number, duplicates: number) =>
      `${number}: ${n(recorded)} recorded, ${n(duplicates)} known before.`,
  },
  trails: { events: 'Events', first: 'First', last: 'Last', gaps: 'Gaps' },
  thing: {
    kind: (kind: string) => ({ actor: 'Actor', resource: 'Resource', ip: 'Address' })[kind] ?? kind,
    failed: (count: number) => `${n(count)} failed`, all: (count: number) => `All ${plural(count, 'event', 'events')}`,
  },
  compare: {
    title: 'Compare events', hint: 'Mark two to five events with x in the search, then compare them with =.',
    button: (count: number) => `Compare ${n(count)}`, clear: 'Unmark',
  },

  badge: {
    verified: 'Verified', signed: 'Signed', late: 'Late', failed: 'Does not verify',
    unknown: 'Not checked',
    long: (state: string) =>
      ({
        verified: 'Verified in this browser, with a key that you pinned.',
        signed: 'Signed by the log; the key was only seen here.',
        late: 'Signed, but late.', failed: 'The log does not verify.',
        unknown: 'This browser could not check the log.', starting: 'Checking …',
      })[state] ?? state,
  },
  integrity: {
    reason: (reason: string) => REASONS[reason] ?? REASONS['proof'] ?? reason,
    holds: 'holds', checking: 'Checking', log: 'Log', origin: 'Origin', size: 'Events',
    signedSize: 'Signed', signedAt: 'Signed at', root: 'Root of the tree', started: 'Server started',
    waiting: (count: number) => `${plural(count, 'event', 'events')} not signed yet`,
    keys: 'Verifier keys', pinned: 'pinned', shown: 'shown by the server', pin: 'Pin', unpin: 'Unpin',
    keyLabel: 'Verifier key from the operator', pinKey: 'Pin the key',
    keyHint: 'Get the key by a way that does not lead through this server. Its operator reads it with',
    pinHint: 'Pin the key that you got from the operator: then this browser checks that nobody else signs.',
    witnesses: 'Witnesses',
    witness: (state: string) =>
      ({ ok: 'cosigns', cosigned: 'cosigns', late: 'late', refused: 'refuses' })[state] ?? state,
    lateSince: (time: string) => `The newest checkpoint is of ${time}, and events wait.`,
    lateWitness: 'A witness is late:',
    whatToDo: 'Keep both checkpoints and compare them with others who read this log. Trust no answer of this server until it is explained.',
    savePrevious: 'Download the checkpoint that this browser had', saveNewest: 'Download what the server gave',
    beginAnew: 'Begin anew with this log', checks: 'Checks in this browser',
    check: (what: string, detail: string) =>
      ({
        growth: 'Checkpoint: signature, and the log only grew', event: `Proof of event ${detail}`,
        file: `File ${detail}`, export: `Export ${detail}`,
      })[what] ?? what,
    checkFile: 'Check a file',
    drop: 'Drop a proof, a checkpoint, or an export together with its manifest.',
    fileHolds: (kind: string, size: number) =>
      `${({ proof: 'the proof holds', checkpoint: 'the signature holds', manifest: 'the manifest is signed', export: 'the file is what the manifest says' })[kind] ?? 'holds'}, log size ${n(size)}`,
    noKeys: 'The server shows no verifier key, and none is pinned.',
    eventHolds: 'This event is in the log, unchanged.',
    stepRaw: 'The bytes as received have the hash that the entry names.',
    stepEntry: 'The entry has the digest that the log has.',
    stepPath: (index: number, size: number) =>
      `The path leads from position ${n(index)} to the root of ${n(size)} events.`,
    stepSignature: 'The root is signed by',
    notPinned: 'The key is the one that the server shows.',
    download: 'Download the proof', elsewhere: 'Check it with a program of your own:',
    limits: 'This page came from the server that it checks. It finds changes by others, and mistakes. Against the server’s owner use a program of your own: daybook verify, Go’s sumdb, or peers/verifier.py.',
    limits2: 'Complete is what was recorded. Whether a total is complete over the log can be recomputed as of its size; this page does not prove it. What a source never sent shows only as a gap.',
  },
  readers: {
    user: 'Who', act: 'What', none: 'Nobody has opened or exported this event.',
    noRight: 'You may not read who saw this event: that takes a right on Daybook’s own trail.',
    note: 'Your own look at it is recorded too.',
    action: (action: string) =>
      ({ 'daybook.ShowEvent': 'opened', 'daybook.Export': 'exported', show: 'opened', open: 'opened', opened: 'opened', export: 'exported', exported: 'exported' })[action] ?? action,
  },

  sentence: (event: SentenceFacts): Piece[] => {
    const verb = VERBS[event.operation]
    const what: Piece[] = event.what === '' ? [] : [' ', { value: event.what }]
    const [past, plain] = verb ?? ['', '']
    const act: Piece[] = verb === undefined ? [' did ', { value: event.action }] : [` ${past}`]
    if (event.result === 'failure') {
      const tried: Piece[] = verb === undefined ? [{ value: event.action }] : [plain]
      const end = event.isRefused ? ' and was refused' : ' and failed'
      return [{ value: event.who }, ' tried to ', ...tried, ...what, end]
    }
    return [{ value: event.who }, ...act, ...what]
  },
}

const REASONS: Record<string, string> = {
  base64: 'A part is not base64.', number: 'A number is not as it should be.',
  note: 'The signed note is malformed.', key: 'This is not a verifier key.',
  noKey: 'None of the keys signed it: another key did.', signature: 'The signature is wrong.',
  checkpoint: 'The checkpoint is malformed.', proof: 'The proof is malformed.',
  path: 'The path does not fit the position.', root: 'The path leads to another root.',
  entry: 'The entry is another than the proof’s.', raw: 'The bytes as received are others.',
  digest: 'The entry has another digest.', index: 'The proof is of another position.',
  smaller: 'The log has fewer events than it had.', fork: 'The log has the same size and another root.',
  consistency: 'The log does not extend what it was.', tile: 'The tiles are incomplete.',
  origin: 'It is of another log.', receipt: 'The receipt is malformed.',
  body: 'The answer’s bytes are others.', size: 'The file has another length.',
  file: 'The file has another hash.', rows: 'The rows are others.',
  crypto: 'This browser cannot check Ed25519 signatures here. Use HTTPS.',
}

/** What a sentence is made of. */
export interface SentenceFacts {
  who: string
  operation: string
  action: string
  what: string
  result: string
  isRefused: boolean
}

const PRESET_NAMES: Record<string, string> = {
  '-15m': 'Last 15 minutes', '-1h': 'Last hour', '-24h': 'Last 24 hours', '-7d': 'Last 7 days',
  '-30d': 'Last 30 days', '': 'All time',
}

const FACET_NAMES: Record<string, string> = {
  outcome: 'Outcome', operation: 'Operation', 'actor.name': 'Actor', 'actor.type': 'Actor type',
  'resource.name': 'Resource', ip: 'Address', trail: 'Trail', severity: 'Severity',
  action: 'Action', 'resource.type': 'Resource type', source: 'Source', service: 'Service',
  tenant: 'Tenant', project: 'Project', instance: 'Instance', class: 'Class',
  'actor.id': 'Actor id', 'resource.id': 'Resource id', instance_id: 'Instance id',
}

const COLUMN_NAMES: Record<string, string> = {
  time: 'Time', received: 'Received', actor: 'Actor', operation: 'Operation',
  resource: 'Resource', outcome: 'Outcome', ip: 'Address', trail: 'Trail', index: 'Index',
  source: 'Source', agent: 'User agent', severity: 'Severity', description: 'Description',
}

function width(seconds: number): string {
  const units: [number, string][] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]
  const [size, unit] = units.find(([one]) => seconds >= one && seconds % one === 0) ?? [1, 's']
  return `${n(seconds / size)} ${unit}`
}

function age(ms: number): string {
  const units: [number, string, string][] = [
    [86_400_000, 'day', 'days'], [3_600_000, 'hour', 'hours'], [60_000, 'minute', 'minutes'],
    [1000, 'second', 'seconds'],
  ]
  const unit = units.find(([size]) => ms >= size)
  if (unit === undefined) return `${n(Math.max(0, Math.round(ms)))} ms`
  const [size, one, many] = unit
  return plural(Math.floor(ms / size), one, many)
}

/** The shape that each language has. */
export type Words = typeof en
