// SPDX-License-Identifier: MIT
//
// NOT UNITY. A stub of com.unity.ugui: only what plugins/unity uses; see UnityEngine.Stub.cs.
namespace UnityEngine.EventSystems
{
    public abstract class UIBehaviour : UnityEngine.MonoBehaviour
    {
    }
}

namespace UnityEngine.UI
{
    public abstract class Graphic : UnityEngine.EventSystems.UIBehaviour
    {
        public RectTransform rectTransform { get { return null; } }
    }

    public abstract class MaskableGraphic : Graphic
    {
    }

    public class RawImage : MaskableGraphic
    {
        public Texture texture { get; set; }
        public Rect uvRect { get; set; }
    }

    public class Text : MaskableGraphic
    {
        public virtual string text { get; set; }
    }
}
