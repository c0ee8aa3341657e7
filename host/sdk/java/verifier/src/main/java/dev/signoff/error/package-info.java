/**
 * The errors of verifier and client, all unchecked, all {@link dev.signoff.error.SignoffException}.
 *
 * <p>Decide by class or by {@link dev.signoff.error.SignoffException#code()}, never by text. Texts may quote
 * what an agent, an approver or a server wrote. {@link Throwable#getMessage()} escapes what a terminal would
 * take for more than text; the single members are as they came.
 */
package dev.signoff.error;
