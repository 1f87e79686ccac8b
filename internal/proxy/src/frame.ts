/** What a rule knows of a frame when it decides: its head has arrived, its body perhaps not. */
export type Direction = 'request' | 'answer'

export interface Frame {
  readonly direction: Direction
  /** Kafka: the API key's name. PostgreSQL: the message's name. Redis: the command, in capitals. */
  readonly name: string
  /** What a pattern is tested against: a statement or a command tag where there is one, else the name. */
  readonly text: string
  /** Kafka only: by which an answer finds its request. */
  readonly correlationId?: number
}
