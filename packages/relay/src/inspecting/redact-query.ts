const charactersMax = 200

// What may hold a value: comments, strings with a dollar tag, strings, numbers. What has no end was cut off by the server.
const valueOrName =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\$\d+|\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\1\$|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\b\d[\w.]*/g

/**
 * The shape of a statement that somebody runs, for people to recognise it by: without comments and with `?` in place of every
 * value, cut to 200 characters. Where the end of a string depends on a setting of the session, or comments are nested,
 * everything behind it is left out too: too little is shown rather than a value.
 */
export function redactQuery(query: string): string {
  const doubtful = Math.min(
    ...[query.indexOf('\\'), nestedCommentAt(query)].map((at) => (at < 0 ? Infinity : at)),
  )
  const certain = doubtful === Infinity ? query : query.slice(0, doubtful)
  const shape = certain
    .replaceAll(valueOrName, (token) => {
      if (token.startsWith('--') || token.startsWith('/*')) return ' '
      return token.startsWith('"') || /^\$\d/.test(token) ? token : '?'
    })
    .replaceAll(/\s+/g, ' ')
    .trim()
  return shape.length > charactersMax || doubtful !== Infinity ? `${shape.slice(0, charactersMax)}…` : shape
}

/** Where a comment begins that has another one inside; -1 when none does. */
function nestedCommentAt(query: string): number {
  for (const comment of query.matchAll(/\/\*[\s\S]*?(?:\*\/|$)/g))
    if (comment[0].indexOf('/*', 2) >= 0) return comment.index
  return -1
}
