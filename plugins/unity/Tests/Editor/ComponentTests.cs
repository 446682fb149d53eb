// SPDX-License-Identifier: MIT
using NUnit.Framework;
using UnityEngine;

namespace RestBridge.Tests
{
    /// <summary>For Unity's Test Runner; they need no daemon. Not run where there is no Unity.</summary>
    [TestFixture]
    public sealed class ComponentTests
    {
        [Test]
        public void Without_a_connection_components_do_nothing_and_say_so_when_asked_to_speak()
        {
            GameObject owner = new GameObject("test");
            try
            {
                RestBridgeFace face = owner.AddComponent<RestBridgeFace>();
                Assert.IsTrue(face.Texture == null);
                Assert.IsTrue(face.Connection == null);
                RestBridgeSpeaker speaker = owner.AddComponent<RestBridgeSpeaker>();
                Assert.Throws<System.InvalidOperationException>(
                    () => speaker.SpeakAsync(new Pcm(new float[10], 16000)));
                Assert.AreEqual(0, speaker.NumLines);
            }
            finally
            {
                Object.DestroyImmediate(owner);
            }
        }

        [Test]
        public void Options_of_a_connection_are_kept()
        {
            GameObject owner = new GameObject("test");
            try
            {
                RestBridgeConnection connection = owner.AddComponent<RestBridgeConnection>();
                connection.Options = BridgeOptions.At("10.0.0.5", 7000);
                Assert.AreEqual("tcp://10.0.0.5:7001", connection.Options.Events);
            }
            finally
            {
                Object.DestroyImmediate(owner);
            }
        }

        [Test]
        public void Clients_that_are_open_are_closed_before_a_reload()
        {
            using (BridgeClient client = BridgeClient.Open(new BridgeOptions()))
            {
                OpenClients.CloseAll();
                Assert.IsFalse(client.IsOpen);
                Assert.AreEqual(0, OpenClients.Count);
            }
        }
    }
}
