/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/coordinator.h"

#include <stdio.h>

#include "base/mem.h"
#include "scheduler/coordinator_state.h"

void tm_coord_actions_init(struct tm_coord_actions *actions)
{
    *actions = (struct tm_coord_actions){0};
}

void tm_coord_actions_clear(struct tm_coord_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        tm_free(actions->items[i].msg);
    }
    actions->count = 0;
}

void tm_coord_actions_deinit(struct tm_coord_actions *actions)
{
    tm_coord_actions_clear(actions);
    tm_free(actions->items);
    tm_coord_actions_init(actions);
}

tm_status tm_coord_act(struct tm_coordinator *c, enum tm_coord_action_type type,
                       const struct tm_node_id *node, struct tm_coord_action **out)
{
    struct tm_coord_actions *list = c->out;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
        struct tm_coord_action *items = tm_realloc_array(list->items, capacity, sizeof *items);
        if (items == NULL) {
            return TM_E_NOMEM;
        }
        list->items = items;
        list->capacity = capacity;
    }
    struct tm_coord_action *action = &list->items[list->count++];
    *action = (struct tm_coord_action){.type = type};
    if (node != NULL) {
        action->node = *node;
    }
    *out = action;
    return TM_OK;
}

tm_status tm_coord_send(struct tm_coordinator *c, const struct tm_node_id *node,
                        enum tm_msg_type type, struct tm_msg **out)
{
    struct tm_msg *msg = tm_calloc(1, sizeof *msg);
    if (msg == NULL) {
        return TM_E_NOMEM;
    }
    struct tm_coord_action *action = NULL;
    tm_status status = tm_coord_act(c, TM_ACT_SEND, node, &action);
    if (status != TM_OK) {
        tm_free(msg);
        return status;
    }
    msg->type = type;
    action->msg = msg;
    *out = msg;
    return TM_OK;
}

tm_status tm_coord_send_reason(struct tm_coordinator *c, const struct tm_node_id *node,
                               enum tm_msg_type type, const char *reason)
{
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, node, type, &msg));
    snprintf(msg->ban.reason, sizeof msg->ban.reason, "%s", reason);
    return TM_OK;
}

tm_status tm_coord_send_idle(struct tm_coordinator *c, const struct tm_node_id *node,
                             uint32_t retry_ms)
{
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, node, TM_MSG_IDLE, &msg));
    msg->idle.retry_ms = retry_ms;
    return TM_OK;
}

tm_status tm_coord_send_receipt(struct tm_coordinator *c, const struct tm_node_id *node,
                                uint32_t unit, const struct tm_digest *leaf,
                                enum tm_receipt verdict, const char *reason)
{
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, node, TM_MSG_RECEIPT, &msg));
    msg->receipt.unit = unit;
    msg->receipt.leaf = *leaf;
    msg->receipt.verdict = verdict;
    snprintf(msg->receipt.reason, sizeof msg->receipt.reason, "%s", reason);
    return TM_OK;
}
