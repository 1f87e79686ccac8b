/** The judge could not do its work. Never a verdict: a topic that cannot be read to its end says nothing about losses. */
export class AuditError extends Error {
  override readonly name = 'AuditError'
}
