/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"

const char *tm_msg_type_name(enum tm_msg_type type)
{
    static const char *const names[] = {
        [TM_MSG_HELLO] = "HELLO",   [TM_MSG_WELCOME] = "WELCOME", [TM_MSG_WANT] = "WANT",
        [TM_MSG_LEASE] = "LEASE",   [TM_MSG_IDLE] = "IDLE",       [TM_MSG_HEARTBEAT] = "HEARTBEAT",
        [TM_MSG_RESULT] = "RESULT", [TM_MSG_RECEIPT] = "RECEIPT", [TM_MSG_FETCH] = "FETCH",
        [TM_MSG_DATA] = "DATA",     [TM_MSG_CREDIT] = "CREDIT",   [TM_MSG_BAN] = "BAN",
        [TM_MSG_BYE] = "BYE",
    };
    bool known = type >= TM_MSG_HELLO && type <= TM_MSG_BYE;
    return known ? names[type] : "unknown";
}
