/* SPDX-License-Identifier: Apache-2.0
 * The gate itself: the process that strangers talk to (gate.h is the coordinator's side). It owns
 * the public sockets and the ZAP handler, gives whole messages on and keeps nothing; it holds the
 * transport key but never the signing key. Its memory is limited: libzmq queues the frames of an
 * unfinished message without bound, so a hostile peer can kill this process, and this one only. */
#ifndef TM_NODE_GATE_SERVE_H
#define TM_NODE_GATE_SERVE_H

#define TM_GATE_COMMAND "gate" /* `tmill gate`; started by the coordinator only */
#define TM_GATE_FD 3           /* where it finds its end of the link */

/* Serves until the other end of the link closes; the exit code of the process. */
int tm_gate_serve(int fd);

#endif
