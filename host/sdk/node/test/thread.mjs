// One thread of the driver: verifications, digests and rejections, with one trap in between.

import { parentPort, workerData } from "node:worker_threads";

import { Verifier } from "@signoff/sdk";

import { breakable, mixedCalls, traps } from "./calls.mjs";

const { calls, trap } = workerData;
const breakIt = breakable();
const verifier = await Verifier.load();
const half = Math.floor(calls / 2);
let wrong = mixedCalls(verifier, half);
if (trap && !traps(verifier, breakIt)) wrong += 1;
wrong += mixedCalls(verifier, calls - half);
parentPort.postMessage({ calls, wrong });
