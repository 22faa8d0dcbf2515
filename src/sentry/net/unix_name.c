/* SPDX-License-Identifier: Apache-2.0 */
/* Names of unix sockets: paths, which are inodes, and abstract ones, which the stack lists. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sentry/net/unix.h"

#define FAMILY_SIZE 2u

/* The path of a name, terminated; false for an abstract one. */
static bool name_is_path(const u8 *name, u32 size, char path[UNIX_NAME_SIZE])
{
    if (size <= FAMILY_SIZE || name[FAMILY_SIZE] == 0)
        return false;
    u32 length = MIN(size, UNIX_NAME_SIZE) - FAMILY_SIZE;
    memcpy(path, name + FAMILY_SIZE, length);
    path[length] = 0;
    return true;
}

static struct unix_socket *abstract_find(struct net_stack *stack, const struct net_ns *ns,
                                         const u8 *name, u32 size)
{
    struct unix_socket *socket;
    list_for_each (socket, &stack->abstract, abstract_link)
        if (socket->ns == ns && socket->name_size == size && memcmp(socket->name, name, size) == 0)
            return socket;
    return NULL;
}

SLEEPS static int path_find(struct task *task, const char *text, struct unix_socket **out)
{
    AUTO_PATH struct path path = {0};
    int err = path_walk(task, NULL, text, WALK_FOLLOW, &path);
    if (!err)
        err = vfs_permission(task, &path, 2);
    if (err)
        return err;
    struct object *object = path.dentry->inode->socket;
    if (!object)
        return -ECONNREFUSED;
    *out = container_of(object, struct unix_socket, base.object);
    object_get_(object);
    return 0;
}

SLEEPS int unix_lookup(struct task *task, const struct unix_socket *socket, const u8 *name,
                       u32 size, struct unix_socket **out)
{
    i32 type = socket->base.type;
    char path[UNIX_NAME_SIZE];
    struct unix_socket *found = NULL;
    if (size > UNIX_NAME_SIZE || size <= FAMILY_SIZE)
        return -EINVAL;
    if (name_is_path(name, size, path)) {
        int err = path_find(task, path, &found);
        if (err)
            return err;
    } else {
        found = abstract_find(task->kernel->net, socket->ns, name, size);
        if (!found)
            return -ECONNREFUSED;
        object_get_(&found->base.object);
    }
    int err = 0;
    if (found->base.type != type)
        err = -EPROTOTYPE;
    else if (found->state == UNIX_CLOSED ||
             (type != LINUX_SOCK_DGRAM && found->state != UNIX_LISTENING))
        err = -ECONNREFUSED;
    if (err) {
        object_put(&found->base.object);
        return err;
    }
    *out = found;
    return 0;
}

static int bind_abstract(struct net_stack *stack, struct unix_socket *socket, const u8 *name,
                         u32 size)
{
    if (abstract_find(stack, socket->ns, name, size))
        return -EADDRINUSE;
    memcpy(socket->name, name, size);
    socket->name_size = size;
    list_add_tail(&stack->abstract, &socket->abstract_link);
    return 0;
}

/* unix(7), autobind: the first free of five hexadecimal digits. */
static int bind_auto(struct net_stack *stack, struct unix_socket *socket)
{
    for (u32 tries = 0; tries < 0x100000; tries++) {
        u8 name[UNIX_NAME_SIZE] = {LINUX_AF_UNIX, 0, 0};
        char digits[6];
        snprintf(digits, sizeof digits, "%05x", stack->port_next++ & 0xfffffu);
        memcpy(name + FAMILY_SIZE + 1, digits, 5);
        if (bind_abstract(stack, socket, name, FAMILY_SIZE + 6) == 0)
            return 0;
    }
    return -ENOSPC;
}

SLEEPS int unix_bind(struct task *task, struct socket *base, const u8 *name, u32 size)
{
    struct unix_socket *socket = unix_of(base);
    u16 family;
    if (size < sizeof family || size > UNIX_NAME_SIZE)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (family != LINUX_AF_UNIX)
        return -EINVAL;
    if (size == FAMILY_SIZE)
        return socket->name_size ? 0 : bind_auto(task->kernel->net, socket);
    if (socket->name_size)
        return -EINVAL;
    char text[UNIX_NAME_SIZE];
    if (!name_is_path(name, size, text))
        return bind_abstract(task->kernel->net, socket, name, size);
    int err = vfs_mknod(task, NULL, text, LINUX_S_IFSOCK | 0777, 0);
    if (err)
        return err == -EEXIST ? -EADDRINUSE : err;
    AUTO_PATH struct path path = {0};
    err = path_walk(task, NULL, text, 0, &path);
    if (err)
        return err;
    struct inode *inode = path.dentry->inode;
    if (inode->socket)
        object_put(inode->socket);
    object_get_(&base->object);
    inode->socket = &base->object;
    u32 text_size = (u32)strlen(text) + 1;
    memcpy(socket->name, name, FAMILY_SIZE);
    memcpy(socket->name + FAMILY_SIZE, text, MIN(text_size, UNIX_NAME_SIZE - FAMILY_SIZE));
    socket->name_size = MIN(FAMILY_SIZE + text_size, UNIX_NAME_SIZE);
    return 0;
}
