/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include "objects.h"

#include "ns3/abort.h"
#include "ns3/config.h"
#include "ns3/pointer.h"
#include "ns3/string.h"
#include "ns3/type-id.h"

namespace ns3::qemunet
{

uint32_t
Objects::Add(Ptr<Object> object)
{
    m_objects.push_back(object);
    return static_cast<uint32_t>(m_objects.size() - 1);
}

Ptr<Object>
Objects::Get(uint32_t number) const
{
    return m_objects.at(number);
}

std::string
Objects::Set(uint32_t number, const std::string& name, const std::string& value) const
{
    Ptr<Object> object = Get(number);
    if (object->SetAttributeFailSafe(name, StringValue(value)))
    {
        return "";
    }
    return object->GetInstanceTypeId().GetName() + " does not take " + name + "=" + value;
}

uint32_t
Objects::GetPart(uint32_t number, const std::string& name)
{
    PointerValue part;
    Get(number)->GetAttribute(name, part);
    Ptr<Object> object = part.GetObject();
    NS_ABORT_MSG_UNLESS(object,
                        Get(number)->GetInstanceTypeId().GetName() << " has no " << name << " yet");
    return Add(object);
}

std::string
SetDefault(const std::string& type, const std::string& name, const std::string& value)
{
    if (Config::SetDefaultFailSafe(type + "::" + name, StringValue(value)))
    {
        return "";
    }
    return "ns-3 does not take " + type + "::" + name + "=" + value + " as a default";
}

Objects&
GetObjects()
{
    static Objects objects;
    return objects;
}

} // namespace ns3::qemunet
