package signoff

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Filter selects approvals. Empty members select all.
type Filter struct {
	Status        Status
	Agent, Action string
	// Page is the number of approvals that one request returns, 1 to 200; zero is the server's default.
	Page int
}

// List returns approvals, newest first, without context and plan. After an error it ends.
//
//	for approval, err := range client.List(ctx, signoff.Filter{Status: signoff.Pending}) { … }
func (c *Client) List(ctx context.Context, filter Filter) iter.Seq2[*Approval, error] {
	return func(yield func(*Approval, error) bool) {
		query := url.Values{}
		for name, value := range map[string]string{
			"status": string(filter.Status), "agent": filter.Agent, "action": filter.Action,
		} {
			if value != "" {
				query.Set(name, value)
			}
		}
		if filter.Page != 0 {
			query.Set("limit", strconv.Itoa(filter.Page))
		}
		for {
			items, next, err := c.page(ctx, query)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == query.Get("cursor") {
				yield(nil, newError("unreachable", "the list does not end: its cursor is repeated"))
				return
			}
			query.Set("cursor", next)
		}
	}
}

// page returns one page of a list, and the cursor of the next one.
func (c *Client) page(ctx context.Context, query url.Values) (items []*Approval, next string, err error) {
	text, err := c.send(ctx, call{method: http.MethodGet, path: approvals, query: query})
	if err != nil {
		return nil, "", err
	}
	page, err := decoded[struct {
		Items []RawJSON `json:"items"`
		Next  string    `json:"next_cursor"`
	}](text)
	if err != nil {
		return nil, "", err
	}
	for _, item := range page.Items {
		approval, err := parseApproval(string(item), "")
		if err != nil {
			return nil, "", err
		}
		items = append(items, approval)
	}
	return items, page.Next, nil
}
