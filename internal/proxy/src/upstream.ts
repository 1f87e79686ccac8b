/** Where the real server listens. */
export interface Upstream {
  readonly host: string
  readonly port: number
}
