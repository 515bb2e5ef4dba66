/*
 * SPDX-License-Identifier: GPL-2.0-only
 */

/**
 * @file
 * More of the C interface of libqemunet-native.so, for ctypes: objects of ns-3's by number, and
 * their attributes. What can be refused returns the reason, valid until the next call, or null.
 */

#include "objects.h"

#include "ns3/channel.h"
#include "ns3/net-device.h"
#include "ns3/node-list.h"
#include "ns3/node.h"
#include "ns3/object-factory.h"
#include "ns3/pointer.h"

using ns3::qemunet::GetObjects;

namespace
{

/**
 * @param problem A sentence, or nothing.
 * @returns The sentence, or null.
 */
const char*
Refusal(std::string problem)
{
    static std::string kept;
    kept = std::move(problem);
    return kept.empty() ? nullptr : kept.c_str();
}

} // namespace

#define QEMUNET_API extern "C" __attribute__((visibility("default")))

/** @returns Number of a new object of a type, which must be known and have a constructor. */
QEMUNET_API uint32_t
qemunet_make(const char* type)
{
    return GetObjects().Add(ns3::ObjectFactory(type).Create());
}

/** @returns Number of a node's device. */
QEMUNET_API uint32_t
qemunet_get_device(uint32_t node, uint32_t device)
{
    return GetObjects().Add(ns3::NodeList::GetNode(node)->GetDevice(device));
}

/** @returns Number of the channel that a node's device is on. */
QEMUNET_API uint32_t
qemunet_get_channel(uint32_t node, uint32_t device)
{
    return GetObjects().Add(ns3::NodeList::GetNode(node)->GetDevice(device)->GetChannel());
}

/** @returns Number of the object that an attribute points to. */
QEMUNET_API uint32_t
qemunet_get_part(uint32_t object, const char* name)
{
    return GetObjects().GetPart(object, name);
}

/** Set an attribute of an object. */
QEMUNET_API const char*
qemunet_set(uint32_t object, const char* name, const char* value)
{
    return Refusal(GetObjects().Set(object, name, value));
}

/** Let an attribute of an object point to another one. */
QEMUNET_API void
qemunet_set_part(uint32_t object, const char* name, uint32_t part)
{
    GetObjects().Get(object)->SetAttribute(name, ns3::PointerValue(GetObjects().Get(part)));
}

/** Set what later objects of a type have for an attribute. */
QEMUNET_API const char*
qemunet_set_default(const char* type, const char* name, const char* value)
{
    return Refusal(ns3::qemunet::SetDefault(type, name, value));
}
