/** What is closed together. */
export class OpenFiles implements AsyncDisposable {
  readonly #open: AsyncDisposable[] = []

  keep<File extends AsyncDisposable>(file: File): File {
    this.#open.push(file)
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.splice(0).map((file) => file[Symbol.asyncDispose]()))
  }
}
