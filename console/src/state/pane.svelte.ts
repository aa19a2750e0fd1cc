/** The tab of the event that is open: the next event shows the same. */

export const TABS = ['overview', 'received', 'related', 'integrity', 'readers']

export const pane: { tab: string } = $state({ tab: 'overview' })
