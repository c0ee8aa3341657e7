package dev.signoff;

import java.util.List;

/**
 * A page of approvals, newest first, without contexts and plans.
 *
 * @param items the approvals
 * @param nextCursor the cursor of the next page, or null after the last
 */
public record ApprovalPage(List<Approval> items, String nextCursor) {
    // Copies the items.
    public ApprovalPage {
        items = List.copyOf(items);
    }
}
