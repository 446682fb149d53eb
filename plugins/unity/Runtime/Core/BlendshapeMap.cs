// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;

namespace RestBridge
{
    /// <summary>Finds a mesh's blend shapes for ARKit's 52 by their names.</summary>
    public static class BlendshapeMap
    {
        /// <summary>No shape of the mesh.</summary>
        public const int None = -1;

        /// <summary>
        /// The mesh's shape for each ARKit name. Upper and lower case, separators, and what stands
        /// before a dot ("Head.jawOpen") do not count; "_L" and "_R" at the end stand for Left and Right.
        /// </summary>
        /// <param name="shapes">the mesh's names in order</param>
        /// <returns>52 indices, or `None`</returns>
        public static int[] Resolve(IList<string> shapes)
        {
            Dictionary<string, int> byName = new Dictionary<string, int>();
            for (int index = shapes.Count - 1; index >= 0; --index) byName[Plain(shapes[index])] = index;
            int[] found = new int[RigValues.NumArkit];
            for (int index = 0; index < found.Length; ++index)
            {
                int shape;
                found[index] = byName.TryGetValue(Plain(RigValues.ArkitNames[index]), out shape)
                    ? shape
                    : None;
            }
            return found;
        }

        /// <summary>The ARKit index of a name, or `None`.</summary>
        public static int IndexOf(string arkitName)
        {
            string plain = Plain(arkitName);
            for (int index = 0; index < RigValues.NumArkit; ++index)
            {
                if (Plain(RigValues.ArkitNames[index]) == plain) return index;
            }
            return None;
        }

        /// <summary>A weight of the rig, 0..1, as a mesh wants it, 0..100.</summary>
        public static float ToMesh(float weight, float scale)
        {
            float value = weight * scale * 100f;
            return value < 0f ? 0f : value > 100f ? 100f : value;
        }

        private static string Plain(string name)
        {
            int dot = name.LastIndexOf('.');
            string own = dot >= 0 && dot < name.Length - 1 ? name.Substring(dot + 1) : name;
            if (own.EndsWith("_L", StringComparison.OrdinalIgnoreCase))
            {
                own = own.Substring(0, own.Length - 2) + "Left";
            }
            else if (own.EndsWith("_R", StringComparison.OrdinalIgnoreCase))
            {
                own = own.Substring(0, own.Length - 2) + "Right";
            }
            return own.Replace("_", "").Replace(" ", "").Replace("-", "").ToLowerInvariant();
        }
    }
}
