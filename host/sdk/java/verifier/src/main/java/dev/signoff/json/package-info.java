/**
 * A strict JSON reader and writer. They refuse what others change silently: duplicate members, lone surrogates,
 * numbers that lose digits, values that JSON does not have.
 */
package dev.signoff.json;
