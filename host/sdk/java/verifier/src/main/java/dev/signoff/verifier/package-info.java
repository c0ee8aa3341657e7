/**
 * The verifier component in this process: offline and pure, it makes every decision about trust.
 */
package dev.signoff.verifier;
