/*
 * SPDX-License-Identifier: GPL-2.0-only
 */
#ifndef QEMUNET_OBJECTS_H
#define QEMUNET_OBJECTS_H

#include "ns3/object.h"
#include "ns3/ptr.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ns3::qemunet
{

/**
 * Objects of ns-3's by number, so that another language can make them and set their attributes.
 *
 * The topology is checked before; what is refused here all the same comes back as a sentence.
 */
class Objects
{
  public:
    /**
     * @param object An object.
     * @returns Its number.
     */
    uint32_t Add(Ptr<Object> object);

    /**
     * @param number Of an object.
     * @returns The object.
     */
    Ptr<Object> Get(uint32_t number) const;

    /**
     * @param number Of an object.
     * @param name Of an attribute.
     * @param value As text.
     * @returns Why it cannot be set; empty if it is set.
     */
    std::string Set(uint32_t number, const std::string& name, const std::string& value) const;

    /**
     * @param number Of an object.
     * @param name Of an attribute that is a pointer.
     * @returns Number of the object that it points to.
     */
    uint32_t GetPart(uint32_t number, const std::string& name);

  private:
    std::vector<Ptr<Object>> m_objects; //!< By number.
};

/**
 * @param type Name of a type.
 * @param name Of an attribute.
 * @param value As text: what later objects of this type begin with.
 * @returns Why it cannot be set; empty if it is set.
 */
std::string SetDefault(const std::string& type, const std::string& name, const std::string& value);

/** @returns The objects of this process. */
Objects& GetObjects();

} // namespace ns3::qemunet

#endif /* QEMUNET_OBJECTS_H */
