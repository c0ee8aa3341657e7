/**
 * The client of a signoff server, and the guard around high-risk actions.
 *
 * <pre>{@code
 * Client client = Client.builder().url("https://signoff.example.com").keys(Path.of("keys.json")).audience("prod").build();
 * client.guard(GuardRequest.of("deployer", "deploy", Map.of("target", "prod")), execution -> {
 *     deploy(execution.context());
 *     return null;
 * });
 * }</pre>
 */
package dev.signoff;
