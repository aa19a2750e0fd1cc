/** The texts of the console in Chinese. */

import type { SentenceFacts, Words } from './en.ts'
import type { Piece } from './sentence.ts'

const locale = 'zh-CN'
const number = new Intl.NumberFormat(locale)
const n = (value: number): string => number.format(value)

const VERBS: Record<string, string> = {
  create: '创建', update: '修改', delete: '删除', read: '读取', pull: '拉取', push: '推送',
  mount: '挂载', upload: '上传', download: '下载', login: '登录', logout: '退出', exec: '执行命令于',
  grant: '修改权限', configure: '配置',
}

export const zh: Words = {
  locale,
  n,
  language: '中文',
  otherLanguage: 'English',
  events: (count: number) => `${n(count)} 条事件`,
  bytes: (count: number) => `${n(count)} 字节`,

  nav: {
    search: '检索', trails: '审计轨迹', sources: '数据来源', saved: '已保存', integrity: '完整性',
    main: '主导航', skip: '跳到结果',
  },
  menu: {
    account: (name: string) => `账号：${name}`, signOut: '退出登录', theme: '主题',
    system: '跟随系统', light: '浅色', dark: '深色', language: '语言', density: '行高',
    dense: '紧凑', normal: '标准', wide: '宽松', keys: '键盘快捷键', singleKeys: '单键快捷键',
    zone: '时区', local: (zone: string) => `本地（${zone}）`,
  },

  signIn: {
    title: '登录', user: '用户名', password: '密码', domain: '域', withDomain: '其他域',
    submit: '登录', wrong: '用户名或密码错误。',
    later: (seconds: number) => `尝试次数过多，请在 ${n(seconds)} 秒后重试。`,
    ended: '会话已结束。请重新登录，当前画面保持不变。',
    codeUsed: '地址中的登录链接已使用或已过期，请用用户名和密码登录。',
    failed: '服务器没有响应。', log: '日志', version: '版本',
  },

  bar: {
    label: '检索', placeholder: '检索：名称、地址、摘要，或 字段:值', run: '检索', clear: '清空检索',
    suggestions: '建议', recent: '最近', field: '字段', use: (text: string) => `改为 ${text}`,
    openEvent: '打开事件', onlyAddress: '仅此地址', hint: 'Tab 采用第一项，Enter 检索',
  },
  chips: {
    own: '已隐藏 Daybook 自身记录', remove: '显示', presets: '预设', refused: '被拒绝',
    logins: '登录', rights: '权限', deletes: '删除', robots: '机器人',
    ownLeftOut: (count: number) => `未含 ${n(count)} 条自身记录`,
  },
  time: {
    range: '时间范围', earlier: '更早', later: '更晚', from: '从', until: '到', apply: '应用',
    now: '现在', start: '第一条事件', preset: (text: string) => PRESET_NAMES[text] ?? text,
    since: (text: string) => `${text} 起`, upTo: (text: string) => `截至 ${text}`,
    means: (text: string) => `即 ${text}`,
    bad: '不是时间。可写 2026-11-01、03:12、yesterday 03:12 或 24h。',
    reversed: '结束早于开始。',
    help: '与检索语言相同：2026-11-01T10:30、24h、7d、today；也可写 03:12 和 yesterday 03:12。',
    age: (ms: number) => `${age(ms)}前`,
  },

  chart: {
    label: '事件随时间的分布', bar: (text: string) => `每柱 ${text}`,
    width: (seconds: number) => width(seconds), hide: '隐藏图表', show: '显示图表',
    from: (from: string, until: string) => `${from} – ${until}`,
    keys: '方向键移动，Shift 扩展，Enter 放大，Backspace 返回。',
    back: '上一个范围', wider: '放宽一倍', gapLane: '缺口',
    gap: (source: string, kind: string, count: number | null) =>
      `${source}：${kind}${count === null ? '' : `，${n(count)}`}`,
  },
  outcome: (value: string) => ({ success: '成功', failure: '失败', unknown: '未知' })[value] ?? value,
  severity: (value: string | number) =>
    ({ 1: '提示', 2: '次要', 3: '重要', 4: '紧急' })[String(value)] ?? String(value),
  actorType: (value: string) =>
    ({
      user: '用户', robot: '机器人', service: '服务', anonymous: '匿名', system: '系统',
      unknown: '未知',
    })[value] ?? value,
  gapKind: (value: string) =>
    ({
      gap: '编号缺失', dropped: '被丢弃', truncated: '被截断', silent: '静默', lost: '丢失',
      not_running: '服务器未运行',
    })[value] ?? value,

  facets: {
    label: '筛选', name: (field: string) => FACET_NAMES[field] ?? field, others: '其他',
    none: '无此字段', only: (value: string) => `仅显示 ${value}`,
    exclude: (value: string) => `排除 ${value}`, clear: '清除', more: '显示更多', fewer: '显示更少',
    add: '更多筛选', retry: '重试', show: (count: number) => `显示 ${n(count)} 个筛选`,
    close: '关闭筛选',
  },
  table: {
    label: '事件', columns: '列', column: (name: string) => COLUMN_NAMES[name] ?? name,
    timeIn: (zone: string) => `时间（${zone}）`, newestFirst: '最新在前', oldestFirst: '最早在前',
    code: (code: string) => `代码 ${code}`, ok: '成功', unknown: '未知',
    addColumn: '属性', reset: '默认列', marked: '已标记', more: '此值的操作', moveUp: '左移',
    moveDown: '右移',
  },
  totals: {
    of: (from: number, until: number, total: number) =>
      `第 ${n(from)}–${n(until)} 条，共 ${n(total)} 条`,
    none: '没有事件', asOf: (time: string, size: number) => `截至 ${time}，日志大小 ${n(size)}`,
    asOfSize: (size: number) => `截至日志大小 ${n(size)}`, unpin: '截至现在',
    fresh: (count: number) => `${n(count)} 条新事件`, elapsed: (seconds: number) => `${n(seconds)} 秒`,
    cancel: '取消', searching: '正在检索',
  },
  pager: {
    label: '分页', page: '页', of: (count: number) => `/ ${n(count)}`, previous: '上一页',
    next: '下一页', first: '首页', last: '末页', size: '行数', goTo: '前往时间或事件',
  },
  goTo: {
    title: '前往', label: '页码、时间或事件编号', hint: '3 · 03:12 · yesterday 03:12 · #41',
    page: (page: number) => `第 ${n(page)} 页`, event: (index: number) => `打开事件 ${n(index)}`,
    time: (text: string) => `${text} 前后`, bad: '不是页码、时间或事件。', go: '前往',
  },
  value: {
    only: '仅显示此值', exclude: '排除', copy: '复制', copyMarked: '复制（含隐藏字符）',
    openActor: '打开操作者', openResource: '打开资源', openIp: '打开地址',
    hidden: (code: string) => `隐藏字符 ${code}`,
    mixed: (letters: string) => `其他文字的字母：${letters}`, copied: '已复制',
    showAll: (count: number) => `显示全部 ${n(count)} 个字符`,
    tooLong: (count: number) => `${n(count)} 字节`,
  },

  event: {
    title: (index: number) => `事件 ${n(index)}`, close: '关闭', previous: '上一条事件',
    next: '下一条事件', overview: '概览', received: '原始数据', related: '相关',
    integrity: '完整性', readers: '查看记录', open: '打开页面', copyLink: '复制链接',
    search: '返回检索', who: '谁', what: '做了什么', when: '何时', where: '从何处', how: '结果',
    record: '记录', attributes: '属性', occurred: '发生时间', receivedAt: '接收时间',
    index: '序号', id: '标识', number: '轨迹内编号', source: '数据来源', format: '格式',
    trail: '审计轨迹', actor: '操作者', type: '类型', operation: '操作', action: '原始动作',
    resource: '资源', resourceId: '资源标识', outcome: '结果', code: '代码', reason: '原因',
    severity: '级别', class: '类别', ip: '源 IP', agent: '用户代理', description: '描述',
    requestId: '请求', traceId: '追踪', region: '区域',
    trust: (value: string) =>
      ({ peer: '直接观测', claimed: '对方声明', forwarded: '对方声明' })[value] ?? value,
    resolution: (value: string) =>
      ({ s: '精确到秒', ms: '精确到毫秒', us: '精确到微秒', ns: '精确到纳秒' })[value] ?? value,
    later: (ms: number) => `发生后 ${age(ms)}`,
    raw: '收到的原始字节', base64: '不是文本，以 base64 显示', entry: '条目',
    digest: '条目的 SHA-256', copyRaw: '复制', wrap: '自动换行',
    tooBig: (count: number) => `${n(count)} 字节，过大，不显示。`, download: '下载',
    sameActor: '同一操作者，前后十分钟', sameResource: '该资源的历史', sameRequest: '同一请求',
    examined: '只检查了日志的一部分。', notFound: '没有您可以读取的此编号事件。', none: '无。',
    linkFixed: '已复制。以后打开也显示同样的内容。',
  },

  empty: {
    nothing: (range: string) => `此范围内没有事件：${range}。`,
    all: (count: number) => `全部时间内有 ${n(count)} 条事件`, show: '显示',
    noneAtAll: '全部时间内都没有匹配的事件。', log: '此日志为空。',
    first: '先配置数据来源，再发送第一条事件：', noRights: '您还不能读取任何审计轨迹。',
    ask: '请联系此服务器的管理者：', clear: '清空检索',
    range: (from: string, until: string) => `${from} – ${until}`, allTime: '全部时间',
    shown: (range: string) => `最近 24 小时没有事件。显示：${range}。`,
  },
  problem: {
    offline: '服务器没有响应。已加载的内容仍然显示。', retry: '重试', request: '请求',
    waiting: (seconds: number) => `服务器繁忙，${n(seconds)} 秒后重试。`,
    at: (column: number) => `第 ${n(column)} 个字符`, failed: '失败。',
    client: '页面出错，请重新加载。',
  },
  shortcuts: {
    title: '键盘快捷键', off: '单键快捷键已关闭。',
    list: [
      ['/', '检索栏'], ['j k ↓ ↑', '下一行、上一行'], ['Enter o', '打开事件'],
      ['1 … 5', '事件的标签页'], ['f', '筛选；Enter 仅显示，x 排除'], ['n p', '下一页、上一页'],
      ['g', '前往页、时间或事件'], ['[ ]', '更早、更晚'], ['z', '放宽一倍'],
      ['Backspace', '上一个范围'], ['v', '验证打开的事件'], ['r', '截至现在重新检索'], ['l', '实时'],
      ['e', '导出'], ['x =', '标记行，比较已标记的事件'], ['c', '复制链接'], ['h', '图表'],
      ['t', '时区'], ['?', '此列表'], ['Esc', '关闭最上层'],
    ],
  },
  close: '关闭',
  copied: '已复制',
  loading: '正在加载',
  notFound: '没有此页面。',
  toSearch: '前往检索',

  live: {
    live: '实时', stop: '停止', paused: (count: number) => `已暂停 · ${n(count)} 条等待`,
    following: (count: number) => `实时 · ${n(count)} 行`, show: '显示',
    elsewhere: '此浏览器的另一个标签页正在实时显示，此页等待。',
    overflow: '等待的事件超过 5,000 条，可用检索显示全部。', search: '检索', again: '截至现在重新检索',
  },
  export: {
    button: '导出', title: (count: number) => `导出 ${n(count)} 条事件`, question: '检索条件',
    everything: '全部事件', format: '格式',
    formats: (name: string) =>
      ({ csv: 'CSV（电子表格）', ndjson: 'NDJSON', parquet: 'Parquet', ocsf: 'OCSF' })[name] ?? name,
    note: '导出您可以读取的全部轨迹中的所有匹配事件。此次导出将以您的名义记录。',
    download: '下载', manifest: '已签名的清单', making: '服务器正在生成清单', check: '检查文件',
    resume: '中断后继续：',
  },
  sources: {
    state: '状态', name: '数据来源', lastHeard: '最近收到', received: '收到', recorded: '已记录',
    duplicate: '重复', rejected: '搁置', skipped: '按规则跳过', lost: '丢失', never: '从未',
    lag: '延迟', lastEvent: '最新事件', since: (time: string) => `计数自 ${time}`,
    allRejected: '搁置的记录', seconds: (count: number) => age(Math.abs(count) * 1000),
    silentAfter: (seconds: number) => `${age(seconds * 1000)}后视为静默`,
    noSilence: '未监视静默', none: '没有配置您可以查看的数据来源。', noGaps: '没有已知缺口。',
    health: (state: string, since: string, behind: number) =>
      ({
        heard: '正常', quiet: '平静', silent: `自 ${since} 起静默`, losing: '有丢失',
        behind: `落后 ${n(behind)} 字节`, never: '从未收到',
      })[state] ?? state,
    explain: {
      recorded: '已记录：日志中的事件。', duplicate: '重复：以前已记录。数量多说明发送方收不到应答。',
      rejected: '搁置：连同原因保存。若有，说明格式改变或配置了其他格式。',
      skipped: '按规则跳过：例如同一请求的其他阶段。',
    },
    loss: (name: string) =>
      ({
        missing: '从未到达的编号', lost_bytes: '读取前已消失的文件字节', file_gaps: '已消失的文件部分',
        dropped_by_daybook: '被 Daybook 丢弃的数据报', dropped_by_kernel: '被内核丢弃的数据报',
        truncated: '被来源截断的事件', unfollowed: '未跟踪的流', refused: '被拒绝的请求体',
        connections_refused: '被拒绝的连接',
      })[name] ?? name,
    whatToDo: (state: string) =>
      ({
        losing: '请查看缺口发生时来源与服务器之间的情况。来源可以重新发送副本来填补缺口。',
        silent: '请查看来源是否运行并能访问此服务器。收到第一条事件后静默即结束。',
        behind: '服务器读取文件慢于其增长，来源平静后会自行赶上。',
      })[state] ?? '',
  },
  rejected: {
    title: '搁置的记录', record: '搁置的记录', everySource: '全部来源', withRetried: '包括已重试的',
    choose: '选择', number: '编号', beginning: '开头', bytes: '字节', none: '无。',
    about: '来源已发送而 Daybook 无法读取的记录。它们连同原因保存，从不删除。',
    retry: (count: number) => (count === 0 ? '重试' : `重试 ${n(count)} 条记录`),
    willHappen: '将按来源当前的设置重新解析这些记录。由此产生的事件以现在的时间记录，此次重试以您的名义记录。失败的记录保持不变。',
    result: (number: number, recorded: number, duplicates: number) =>
      `${number}：记录 ${n(recorded)} 条，${n(duplicates)} 条以前已有。`,
  },
  trails: { events: '事件', first: '最早', last: '最晚', gaps: '缺口' },
  thing: {
    kind: (kind: string) => ({ actor: '操作者', resource: '资源', ip: '源 IP' })[kind] ?? kind,
    failed: (count: number) => `${n(count)} 条失败`, all: (count: number) => `全部 ${n(count)} 条事件`,
  },
  compare: {
    title: '比较事件', hint: '在检索中用 x 标记两到五条事件，再用 = 比较。',
    button: (count: number) => `比较 ${n(count)} 条`, clear: '取消标记',
  },

  badge: {
    verified: '已在本机验证', signed: '已签名', late: '延迟', failed: '验证失败', unknown: '未检查',
    long: (state: string) =>
      ({
        verified: '已在此浏览器中用您固定的公钥验证。', signed: '日志已签名；公钥仅在此处见过。',
        late: '已签名，但有延迟。', failed: '日志未通过验证。', unknown: '此浏览器无法检查日志。',
        starting: '正在检查 …',
      })[state] ?? state,
  },
  integrity: {
    reason: (reason: string) => REASONS[reason] ?? REASONS['proof'] ?? reason,
    holds: '成立', checking: '正在检查', log: '日志', origin: '来源名', size: '事件数',
    signedSize: '已签名', signedAt: '签名时间', root: '树根', started: '服务器启动时间',
    waiting: (count: number) => `${n(count)} 条事件尚未签名`,
    keys: '验证公钥', pinned: '已固定', shown: '由服务器显示', pin: '固定', unpin: '取消固定',
    keyLabel: '从管理者处得到的验证公钥', pinKey: '固定公钥',
    keyHint: '请通过不经过此服务器的途径取得公钥。管理者用此命令读取：',
    pinHint: '请固定从管理者处得到的公钥，此后浏览器会检查没有他人签名。',
    witnesses: '见证方',
    witness: (state: string) =>
      ({ ok: '正常联署', cosigned: '正常联署', late: '延迟', refused: '拒绝' })[state] ?? state,
    lateSince: (time: string) => `最新检查点的时间是 ${time}，仍有事件等待签名。`,
    lateWitness: '见证方延迟：',
    whatToDo: '请保存两个检查点，与其他读者比较。在原因查明之前，不要相信此服务器的任何回答。',
    savePrevious: '下载本机保存的检查点', saveNewest: '下载服务器给出的内容',
    beginAnew: '对此日志重新开始', checks: '此浏览器中的检查',
    check: (what: string, detail: string) =>
      ({
        growth: '检查点：签名有效，日志只增不减', event: `事件 ${detail} 的存在证明`,
        file: `文件 ${detail}`, export: `导出 ${detail}`,
      })[what] ?? what,
    checkFile: '检查文件', drop: '拖入存在证明、检查点，或导出文件与其清单。',
    fileHolds: (kind: string, size: number) =>
      `${({ proof: '证明成立', checkpoint: '签名有效', manifest: '清单已签名', export: '文件与清单一致' })[kind] ?? '成立'}，日志大小 ${n(size)}`,
    noKeys: '服务器未显示验证公钥，也没有固定的公钥。',
    eventHolds: '此事件在日志中，未被改动。', stepRaw: '原始字节的哈希与条目所记一致。',
    stepEntry: '条目的摘要与日志所记一致。',
    stepPath: (index: number, size: number) =>
      `路径从位置 ${n(index)} 通向 ${n(size)} 条事件的树根。`,
    stepSignature: '树根的签名者：', notPinned: '此公钥是服务器显示的。', download: '下载证明',
    elsewhere: '用您自己的程序检查：',
    limits: '此页面来自它所检查的服务器。它能发现他人的改动和错误。若要防范服务器的所有者，请使用自己的程序：daybook verify、Go 的 sumdb 或 peers/verifier.py。',
    limits2: '完整指的是已记录的内容。总数对日志是否完整，可按其大小重新计算；此页面不作证明。数据来源从未发送的内容只会显示为缺口。',
  },
  readers: {
    user: '谁', act: '做了什么', none: '没有人打开或导出过此事件。',
    noRight: '您不能读取谁看过此事件：这需要对 Daybook 自身轨迹的权限。',
    note: '您的这次查看也会被记录。',
    action: (action: string) =>
      ({ 'daybook.ShowEvent': '打开', 'daybook.Export': '导出', show: '打开', open: '打开', opened: '打开', export: '导出', exported: '导出' })[action] ?? action,
  },

  sentence: (event: SentenceFacts): Piece[] => {
    const verb = VERBS[event.operation]
    const act: Piece[] = verb === undefined ? [' 执行了 ', { value: event.action }] : [` ${verb}`]
    const what: Piece[] = event.what === '' ? [] : [' ', { value: event.what }]
    const end = event.isRefused ? '，被拒绝' : '，失败'
    const tried: Piece[] = event.result === 'failure' ? [' 尝试', ...trimmed(act)] : act
    return [{ value: event.who }, ...tried, ...what, ...(event.result === 'failure' ? [end] : [])]
  },
}

const REASONS: Record<string, string> = {
  base64: '有一部分不是 base64。', number: '数字格式不正确。', note: '签名文本格式错误。',
  key: '这不是验证公钥。', noKey: '没有任何已知公钥的签名：由其他公钥签名。', signature: '签名错误。',
  checkpoint: '检查点格式错误。', proof: '存在证明格式错误。', path: '路径与位置不符。',
  root: '路径通向另一个树根。', entry: '条目与证明中的不同。', raw: '原始字节不同。',
  digest: '条目的摘要不同。', index: '证明属于另一个位置。', smaller: '日志的事件比以前少。',
  fork: '日志大小相同而树根不同。', consistency: '日志不是以前内容的延续。', tile: '分块不完整。',
  origin: '属于另一个日志。', receipt: '回执格式错误。', body: '回答的字节不同。',
  size: '文件长度不同。', file: '文件哈希不同。', rows: '行不同。',
  crypto: '此浏览器在这里无法检查 Ed25519 签名，请使用 HTTPS。',
}

function trimmed(pieces: Piece[]): Piece[] {
  return pieces.map((piece) => (typeof piece === 'string' ? piece.trim() : piece))
}

const PRESET_NAMES: Record<string, string> = {
  '-15m': '最近 15 分钟', '-1h': '最近 1 小时', '-24h': '最近 24 小时', '-7d': '最近 7 天',
  '-30d': '最近 30 天', '': '全部时间',
}

const FACET_NAMES: Record<string, string> = {
  outcome: '结果', operation: '操作', 'actor.name': '操作者', 'actor.type': '操作者类型',
  'resource.name': '资源', ip: '源 IP', trail: '审计轨迹', severity: '级别', action: '原始动作',
  'resource.type': '资源类型', source: '数据来源', service: '服务', tenant: '租户',
  project: '项目', instance: '实例', class: '类别', 'actor.id': '操作者标识',
  'resource.id': '资源标识', instance_id: '实例标识',
}

const COLUMN_NAMES: Record<string, string> = {
  time: '时间', received: '接收时间', actor: '操作者', operation: '操作', resource: '资源',
  outcome: '结果', ip: '源 IP', trail: '审计轨迹', index: '序号', source: '数据来源',
  agent: '用户代理', severity: '级别', description: '描述',
}

function width(seconds: number): string {
  const units: [number, string][] = [[86_400, '天'], [3600, '小时'], [60, '分钟'], [1, '秒']]
  const [size, unit] = units.find(([one]) => seconds >= one && seconds % one === 0) ?? [1, '秒']
  return `${n(seconds / size)} ${unit}`
}

function age(ms: number): string {
  const units: [number, string][] = [
    [86_400_000, '天'], [3_600_000, '小时'], [60_000, '分钟'], [1000, '秒'],
  ]
  const unit = units.find(([size]) => ms >= size)
  if (unit === undefined) return `${n(Math.max(0, Math.round(ms)))} 毫秒`
  return `${n(Math.floor(ms / unit[0]))} ${unit[1]}`
}
