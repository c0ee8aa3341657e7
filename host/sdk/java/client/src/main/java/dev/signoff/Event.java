package dev.signoff;

/**
 * An entry of the audit log.
 *
 * @param id where a later stream can begin
 * @param kind the kind of the entry; {@code reset} says that the server's log is another one than before
 * @param data the entry, a JSON text; empty if it has none
 */
public record Event(String id, String kind, String data) {}
