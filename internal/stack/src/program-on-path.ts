import { CommandError, runCommand } from './run-command.js'

/** Whether `command --version` can be run. */
export const isOnPath = async (command: string, signal: AbortSignal | undefined): Promise<boolean> => {
  try {
    await runCommand(command, ['--version'], { signal })
    return true
  } catch (error) {
    if (error instanceof CommandError) return false
    throw error
  }
}
