/** Live progress: lines that are redrawn on a terminal, plain lines in a pipe. */
import type { Snapshot } from './progress.js'

/** What there is to show. */
interface DisplayState {
  readonly orders: number
  readonly snapshot: Snapshot
  readonly kills: number
  readonly killsWanted: number
}

export interface Display {
  /** A line that stays. */
  line(text: string): void
  /** How far everything is. */
  update(state: DisplayState): void
  /** The last state stays; nothing is redrawn any more. */
  finish(): void
}

const barWidth = 30
const plainEveryMs = 2_000

/** On standard error, so that standard output holds the result alone. */
export function createDisplay(stream: NodeJS.WriteStream = process.stderr): Display {
  const startedAt = performance.now()
  const clock = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`
  return stream.isTTY ? terminalDisplay(stream, clock) : plainDisplay(stream, clock)
}

function terminalDisplay(stream: NodeJS.WriteStream, clock: () => string): Display {
  let drawn: string[] = []
  const erase = (): string => (drawn.length === 0 ? '' : `\x1b[${drawn.length}A\x1b[J`)
  const draw = (): string => drawn.map((text) => `${text.slice(0, (stream.columns || 80) - 1)}\n`).join('')
  return {
    line: (text) => void stream.write(`${erase()}${clock()}  ${text}\n${draw()}`),
    update: (state) => {
      const before = erase()
      drawn = bars(state, clock())
      stream.write(before + draw())
    },
    finish: () => (drawn = []),
  }
}

function plainDisplay(stream: NodeJS.WriteStream, clock: () => string): Display {
  let lastAt = -Infinity
  return {
    line: (text) => void stream.write(`${clock()}  ${text}\n`),
    update: ({ orders, snapshot, kills }) => {
      if (!snapshot.drained && performance.now() - lastAt < plainEveryMs) return
      lastAt = performance.now()
      stream.write(
        `${clock()}  placed ${snapshot.placed}, final ${snapshot.final} of ${orders}; effects ${snapshot.effects}; kills ${kills}\n`,
      )
    },
    finish: () => undefined,
  }
}

const bars = ({ orders, snapshot, kills, killsWanted }: DisplayState, time: string): string[] => [
  bar('placed', snapshot.placed, orders),
  bar('final', snapshot.final, orders),
  bar('effects', snapshot.effects, snapshot.effectsExpected),
  bar('kills', kills, killsWanted),
  time,
]

function bar(name: string, value: number, of: number): string {
  const full = of === 0 ? 0 : Math.min(barWidth, Math.floor((value / of) * barWidth))
  return `  ${name.padEnd(8)} ${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${value.toLocaleString('en')} / ${of.toLocaleString('en')}`
}
