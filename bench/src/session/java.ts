import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** A command line for a program of `bench/java`: one source file, which Java compiles as it starts. */
export function javaCommand(file: string, classpath: string): { program: string; arguments: string[] } {
  const home = process.env['JAVA_HOME']
  return {
    program: home === undefined || home === '' ? 'java' : path.join(home, 'bin', 'java'),
    arguments: ['-cp', classpath, fileURLToPath(new URL(`../../java/${file}`, import.meta.url))],
  }
}
