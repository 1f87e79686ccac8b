/**
 * Services die with the process that started them, also when that is killed with SIGKILL and can clean up nothing.
 * A tiny shell reads a pipe whose other end only this process holds. When this process ends, in whatever way, the
 * kernel closes the pipe, and the shell kills what is on its list and removes the run folder.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

// A list of words SIGNAL:pid; a negative pid is a process group. PostgreSQL gets SIGQUIT (its postmaster alone can
// kill its children, each of which leads a group of its own), so there is a second, bounded round with SIGKILL. A dead
// process that init has not collected yet still takes signals, hence the look into /proc where there is one.
const script = `
trap '' HUP INT TERM
alive() {
  if [ -r /proc/self/stat ]; then
    { read -r _ _ state _ < "/proc/$1/stat"; } 2>/dev/null && [ "$state" != Z ]
  else
    kill -s 0 -- "$1" 2>/dev/null
  fi
}
list=
while read -r verb signal pid; do
  case $verb in
    hold) list="$list $signal:$pid" ;;
    release) rest=; for entry in $list; do [ "\${entry#*:}" = "$pid" ] || rest="$rest $entry"; done; list=$rest ;;
  esac
done
for entry in $list; do kill -s "\${entry%%:*}" -- "\${entry#*:}" 2>/dev/null; done
tries=0
for entry in $list; do
  pid=\${entry#*:}
  while [ $tries -lt 100 ] && alive "\${pid#-}"; do sleep 0.05; tries=$((tries + 1)); done
  kill -s KILL -- "$pid" 2>/dev/null
done
tries=0
until rm -rf -- "$1" || [ $tries -ge 20 ]; do sleep 0.1; tries=$((tries + 1)); done
`

/** How the watcher ends a service: the signal, and the process (or, negative, the group) that gets it. */
export interface Hold {
  readonly signal: 'QUIT' | 'KILL'
  readonly pid: number
}

class Lifeline {
  /** Everything that the services of this process write lies below this folder, which is removed with them. */
  readonly runDirectory: string
  readonly #holds = new Map<number, Hold>()
  #watcher: ChildProcess | undefined

  constructor() {
    this.runDirectory = mkdtempSync(path.join(tmpdir(), 'oncebox-'))
    chmodSync(this.runDirectory, 0o755) // PostgreSQL, as another user, must get through to its own folder
    this.#watch()
  }

  hold(hold: Hold): void {
    this.#holds.set(hold.pid, hold)
    this.#tell('hold', hold)
  }

  release(hold: Hold): void {
    if (this.#holds.delete(hold.pid)) this.#tell('release', hold)
  }

  #watch(): void {
    // In a session of its own, so that Ctrl-C reaches us and not the watcher; unreferenced, so that it keeps nobody alive.
    const watcher = spawn('/bin/sh', ['-c', script, 'oncebox-lifeline', this.runDirectory], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin` }, // rm and sleep, whatever PATH we were given
    })
    watcher.unref()
    watcher.stdin.on('error', () => undefined) // a dead watcher is replaced below
    if (watcher.stdin instanceof Socket) watcher.stdin.unref()
    watcher.once('exit', () => this.#watch())
    this.#watcher = watcher
    for (const hold of this.#holds.values()) this.#tell('hold', hold)
  }

  #tell(verb: 'hold' | 'release', { signal, pid }: Hold): void {
    this.#watcher?.stdin?.write(`${verb} ${signal} ${pid}\n`)
  }
}

let lifeline: Lifeline | undefined

/** The one lifeline of this process, started when first needed. */
export const theLifeline = (): Lifeline => (lifeline ??= new Lifeline())
