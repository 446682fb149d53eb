// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using NUnit.Framework;

namespace RestBridge.Tests
{
    /// <summary>Every golden message through the C ABI, compared with index.json.</summary>
    [TestFixture]
    public sealed class GoldenTests
    {
        private static string Folder
        {
            get { return Environment.GetEnvironmentVariable("REST_BRIDGE_GOLDEN"); }
        }

        public static IEnumerable<string> Names
        {
            get
            {
                foreach (string part in new[] { "wire", "speech" })
                {
                    foreach (string path in Directory.GetFiles(Path.Combine(Folder, part), "*.bin"))
                    {
                        yield return part + "/" + Path.GetFileNameWithoutExtension(path);
                    }
                }
            }
        }

        private static byte[] Bytes(string name)
        {
            return File.ReadAllBytes(Path.Combine(Folder, name + ".bin"));
        }

        private static Dictionary<string, object> Expected(string name)
        {
            string part = name.Split('/')[0];
            string index = File.ReadAllText(Path.Combine(Folder, part, "index.json"));
            Dictionary<string, object> all = (Dictionary<string, object>)Json.Parse(index);
            return (Dictionary<string, object>)all[name.Split('/')[1]];
        }

        private static Dictionary<string, object> Bodies()
        {
            string path = Environment.GetEnvironmentVariable("REST_BRIDGE_BODIES");
            return (Dictionary<string, object>)Json.Parse(File.ReadAllText(path));
        }

        private static string Hex(byte[] bytes)
        {
            return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
        }

        private static void Same(object expected, object found, string where)
        {
            Dictionary<string, object> map = expected as Dictionary<string, object>;
            List<object> items = expected as List<object>;
            if (map != null)
            {
                Dictionary<string, object> other = (Dictionary<string, object>)found;
                CollectionAssert.AreEquivalent(map.Keys, other.Keys, where);
                foreach (string key in map.Keys) Same(map[key], other[key], where + "." + key);
            }
            else if (items != null)
            {
                List<object> others = (List<object>)found;
                Assert.AreEqual(items.Count, others.Count, where);
                for (int at = 0; at < items.Count; ++at) Same(items[at], others[at], where + "[" + at + "]");
            }
            else Assert.AreEqual(expected, found, where);
        }

        [TestCaseSource("Names")]
        public void Every_golden_message_is_decoded_to_what_the_index_says(string name)
        {
            Dictionary<string, object> expected = Expected(name);
            byte[] data = Bytes(name);
            Assert.AreEqual(expected["bytes"], (long)data.Length);
            WireMessage message = WireMessage.Decode(data);
            Assert.AreEqual(expected["topic"], message.Topic);
            Same(expected["header"], message.Header, name + ".header");
            Assert.AreEqual(expected["payload_hex"], Hex(message.Payload));
            // What another msgpack reader (Python's) finds in the payload; absent where it is no map.
            object body;
            if (Bodies().TryGetValue(name, out body)) Same(body, message.Body, name + ".body");
            else Assert.IsNull(message.Body);
        }

        [TestCaseSource("Names")]
        public void Cut_messages_and_other_major_versions_are_refused_newer_minor_ones_are_not(string name)
        {
            byte[] data = Bytes(name);
            for (int length = 0; length < data.Length; length += 5)
            {
                byte[] cut = new byte[length];
                Array.Copy(data, cut, length);
                BridgeException error = Assert.Throws<BridgeException>(() => WireMessage.Decode(cut));
                Assert.AreEqual(BridgeFailure.Protocol, error.Failure);
                Assert.IsNotEmpty(error.Message);
            }
            data[5] = 77;
            WireMessage.Decode(data);
            data[4] = 2;
            Assert.Throws<BridgeException>(() => WireMessage.Decode(data));
        }

        [Test]
        public void The_golden_rig_has_the_values_of_the_protocol()
        {
            byte[] payload = WireMessage.Decode(Bytes("wire/rig")).Payload;
            for (int index = 0; index < 58; ++index)
            {
                Assert.AreEqual(index / 64f, BitConverter.ToSingle(payload, index * 4));
            }
        }

        [Test]
        public void Names_of_face_values_are_those_of_the_library()
        {
            for (int index = 0; index < RigValues.NumPose; ++index)
            {
                Assert.AreEqual(RigValues.PoseNames[index], Utf8.Text(Native.rb_rig_name((uint)index)));
            }
            for (int index = 0; index < RigValues.NumArkit; ++index)
            {
                string name = Utf8.Text(Native.rb_rig_name((uint)(RigValues.NumPose + index)));
                Assert.AreEqual(RigValues.ArkitNames[index], name);
            }
            for (int index = 0; index < RigValues.NumVisemes; ++index)
            {
                Assert.AreEqual(RigValues.VisemeNames[index], Utf8.Text(Native.rb_viseme_name((uint)index)));
            }
        }

        [Test]
        public void Structures_lie_as_the_C_compiler_lays_them()
        {
            // One line for each: "Frame.Data 84", written by a C program with offsetof.
            foreach (string line in File.ReadAllLines(Environment.GetEnvironmentVariable("REST_BRIDGE_LAYOUT")))
            {
                string[] words = line.Split(' ');
                string[] path = words[0].Split('.');
                Type type = typeof(Native).GetNestedType(
                    path[0], System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public);
                int found = path[1] == "size"
                    ? Marshal.SizeOf(type)
                    : (int)Marshal.OffsetOf(type, path[1]);
                Assert.AreEqual(int.Parse(words[1]), found, words[0]);
            }
        }
    }
}
