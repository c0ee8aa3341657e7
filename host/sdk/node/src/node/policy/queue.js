/**
 * Decisions that wait for their report in a folder: each is on disk before it is returned.
 *
 * A process has a subfolder of its own, `node-PID-RANDOM`, whose creation is its lock: only the process
 * itself writes there. Decisions are appended to `open`, one JSON text a line. Sealing renames `open` to
 * a new idempotency key; such a batch never changes. A process that starts moves the files of ended
 * processes into its own subfolder. Moving a file succeeds once, whoever else tries.
 */

import { mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";

import { Invalid } from "../../errors.js";
import { BATCH_MAX, newBatchKey, newId } from "../../policy/memory.js";

const OPEN = "open";
const REFUSED = "refused";
const OWNER = /^node-(\d+)-[0-9a-f]{32}$/;
/** The subfolder of a queue that was closed with decisions left. */
const LEFT = /^node-left-[0-9a-f]{32}$/;
const BATCH = /^d[0-9a-z]+-[0-9a-f]{32}$/;
/** Reads and writes by the owner alone. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** @typedef {import("../../policy/memory.js").Batch} Batch */
/** @typedef {import("../../policy/memory.js").Queue} Queue */
/** @typedef {{ line: string, resolve: () => void, reject: (error: unknown) => void }} Waiting */

/** @implements {Queue} */
export class DiskQueue {
  /** @type {"disk"} */
  kind = "disk";
  #root;
  #own;
  /** Sealed batches, oldest first. @type {{ key: string, count: number }[]} */
  #sealed = [];
  /** @type {import("node:fs/promises").FileHandle | null} */
  #file = null;
  /** Decisions in `open`. */
  #count = 0;
  /** @type {Waiting[]} */
  #waiting = [];
  /** Operations run one after the other. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #closed = false;

  /**
   * Use `DiskQueue.open`.
   *
   * @param {string} root
   */
  constructor(root) {
    this.#root = root;
    this.#own = join(root, `node-${process.pid}-${newId()}`);
  }

  /**
   * Opens a queue, and takes over what ended processes left.
   *
   * @param {string} folder Made if it does not exist.
   * @returns {Promise<DiskQueue>}
   * @throws {Invalid} `request-invalid`: it cannot be made or written, or other users can read or write it.
   */
  static async open(folder) {
    const queue = new DiskQueue(resolve(folder));
    try {
      await queue.#prepare();
      return queue;
    } catch (cause) {
      if (cause instanceof Invalid) throw cause;
      throw new Invalid({ code: "request-invalid", detail: `the queue \`${folder}\` cannot be used`, cause });
    }
  }

  get pending() {
    return this.#sealed.reduce((sum, { count }) => sum + count, this.#count);
  }

  /**
   * Writes a decision. Those that come while another is written share the next write.
   *
   * @param {string} line A JSON text in one line.
   * @returns {Promise<void>} Resolves once it is on disk.
   */
  append(line) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, resolve, reject });
      this.#serially(() => this.#write()).catch(() => {});
    });
  }

  /** @returns {Promise<Batch | null>} */
  next() {
    return this.#serially(async () => {
      if (this.#sealed.length === 0 && this.#count > 0) await this.#seal();
      for (let first = this.#sealed[0]; first !== undefined; first = this.#sealed[0]) {
        const lines = await this.#linesOf(first.key);
        if (lines.length > 0) return { key: first.key, lines };
        // It was torn before its first decision was returned.
        await this.#forget(first.key, () => rm(join(this.#own, first.key)));
      }
      return null;
    });
  }

  /** @param {Batch} batch */
  accepted({ key }) {
    return this.#serially(() => this.#forget(key, () => rm(join(this.#own, key), { force: true })));
  }

  /** @param {Batch} batch */
  refused({ key }) {
    return this.#serially(async () => {
      const folder = join(this.#root, REFUSED);
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      await this.#forget(key, () => rename(join(this.#own, key), join(folder, key)));
    });
  }

  /** Gives up the subfolder. What is left in it belongs to the next queue that opens. */
  close() {
    return this.#serially(async () => {
      this.#closed = true;
      if (this.#count > 0) await this.#seal();
      await this.#file?.close();
      this.#file = null;
      if (this.#sealed.length > 0) await rename(this.#own, join(this.#root, `node-left-${newId()}`));
      else await rm(this.#own, { recursive: true, force: true });
    });
  }

  async #prepare() {
    await mkdir(this.#root, { recursive: true, mode: FOLDER_MODE });
    const { mode, uid } = await stat(this.#root);
    // Windows has no such mode.
    const isForeign = process.platform !== "win32" && ((mode & 0o077) !== 0 || uid !== process.geteuid?.());
    if (isForeign) {
      throw new Invalid({
        code: "request-invalid",
        detail: `the queue \`${this.#root}\` belongs to another user, or others can read or write it: run \`chmod 700\` on it`,
      });
    }
    await mkdir(this.#own, { mode: FOLDER_MODE });
    for (const name of await readdir(this.#root)) {
      if (await isLeft(this.#root, name)) await this.#takeOver(join(this.#root, name));
    }
    await syncFolder(this.#own);
    await syncFolder(this.#root);
    this.#sealed.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** @param {string} folder Of an ended process. */
  async #takeOver(folder) {
    for (const name of await readdir(folder).catch(() => [])) {
      // A batch keeps its key: the server may have it already. `open` was never sent.
      const key = name === OPEN ? newBatchKey() : name;
      if (!BATCH.test(key) || !(await succeeds(rename(join(folder, name), join(this.#own, key))))) continue;
      this.#sealed.push({ key, count: (await this.#linesOf(key)).length });
    }
    await succeeds(rmdir(folder));
  }

  async #write() {
    const waiting = this.#waiting.splice(0, BATCH_MAX - this.#count);
    if (waiting.length === 0) return;
    try {
      if (this.#closed) throw new Error("the queue is closed");
      if (this.#file === null) {
        this.#file = await open(join(this.#own, OPEN), "ax", FILE_MODE);
        await syncFolder(this.#own);
      }
      await this.#file.appendFile(waiting.map(({ line }) => `${line}\n`).join(""));
      await this.#file.datasync();
      this.#count += waiting.length;
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      // What was written may be torn, so nothing is appended to it.
      if (this.#file !== null) await this.#seal();
      return;
    }
    if (this.#count >= BATCH_MAX) await this.#seal();
  }

  async #seal() {
    const key = newBatchKey();
    await this.#file?.close();
    this.#file = null;
    await rename(join(this.#own, OPEN), join(this.#own, key));
    this.#sealed.push({ key, count: this.#count });
    this.#count = 0;
    await syncFolder(this.#own);
  }

  /**
   * Returns the decisions of a batch. A line that is torn was never returned as a decision.
   *
   * @param {string} key
   */
  async #linesOf(key) {
    const text = await readFile(join(this.#own, key), "utf8");
    return text.split("\n").slice(0, -1).filter(isObject);
  }

  /**
   * @param {string} key
   * @param {() => Promise<void>} remove
   */
  async #forget(key, remove) {
    await remove();
    this.#sealed = this.#sealed.filter((batch) => batch.key !== key);
    await syncFolder(this.#own);
  }

  /**
   * @template T
   * @param {() => Promise<T>} operation
   * @returns {Promise<T>}
   */
  #serially(operation) {
    const result = this.#last.then(operation, operation);
    this.#last = result.catch(() => {});
    return result;
  }
}

/**
 * Returns whether a subfolder belongs to no running process.
 *
 * @param {string} root
 * @param {string} name
 */
async function isLeft(root, name) {
  if (LEFT.test(name)) return true;
  const [, pid] = OWNER.exec(name) ?? [];
  if (pid === undefined) return false;
  if (Number(pid) !== process.pid) return !isRunning(Number(pid));
  // In a container each start has the same id. Subfolders of this process are younger than itself.
  const { mtimeMs } = await stat(join(root, name));
  return mtimeMs < Date.now() - process.uptime() * 1000;
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is another user's.
    return /** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH";
  }
}

/** @param {string} line */
function isObject(line) {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}

/** @param {Promise<unknown>} operation */
async function succeeds(operation) {
  try {
    await operation;
    return true;
  } catch {
    return false;
  }
}

/**
 * Writes the names in a folder to disk.
 *
 * @param {string} folder
 */
async function syncFolder(folder) {
  // Windows opens no folders, and writes names without.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
