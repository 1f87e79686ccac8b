/** The names of PostgreSQL's messages by their type: https://www.postgresql.org/docs/current/protocol-message-formats.html. */
const requests = {
  B: 'Bind',
  C: 'Close',
  D: 'Describe',
  E: 'Execute',
  F: 'FunctionCall',
  H: 'Flush',
  P: 'Parse',
  Q: 'Query',
  S: 'Sync',
  X: 'Terminate',
  c: 'CopyDone',
  d: 'CopyData',
  f: 'CopyFail',
  p: 'Password', // and every other answer to an authentication request
} as const

const answers = {
  '1': 'ParseComplete',
  '2': 'BindComplete',
  '3': 'CloseComplete',
  A: 'NotificationResponse',
  C: 'CommandComplete',
  D: 'DataRow',
  E: 'ErrorResponse',
  G: 'CopyInResponse',
  H: 'CopyOutResponse',
  I: 'EmptyQueryResponse',
  K: 'BackendKeyData',
  N: 'NoticeResponse',
  R: 'Authentication',
  S: 'ParameterStatus',
  T: 'RowDescription',
  V: 'FunctionCallResponse',
  W: 'CopyBothResponse',
  Z: 'ReadyForQuery',
  c: 'CopyDone',
  d: 'CopyData',
  n: 'NoData',
  s: 'PortalSuspended',
  t: 'ParameterDescription',
  v: 'NegotiateProtocolVersion',
} as const

const byType = (names: Readonly<Record<string, string>>): ReadonlyMap<number, string> =>
  new Map(Object.entries(names).map(([type, name]) => [type.charCodeAt(0), name]))

export const requestNames = byType(requests)
export const answerNames = byType(answers)

const known: ReadonlySet<string> = new Set([
  ...Object.values(requests),
  ...Object.values(answers),
  'StartupMessage',
  'SSLRequest',
  'GSSENCRequest',
  'CancelRequest',
  'EncryptionAnswer',
])

export const isMessageName = (name: string): boolean => known.has(name)
