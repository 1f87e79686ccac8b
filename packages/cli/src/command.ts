/** A verb of the command line. */
export interface Command {
  readonly name: string
  readonly synopsis: string
  readonly summary: string
  /** @returns The exit code. */
  run(args: readonly string[]): Promise<number>
}
