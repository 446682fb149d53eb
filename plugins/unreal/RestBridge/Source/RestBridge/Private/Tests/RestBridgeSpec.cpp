// SPDX-License-Identifier: MIT
// In the editor: Tools > Session Frontend > Automation > RestBridge. Needs no daemon.
#include "Core/CurveTable.h"
#include "Core/FrameSlots.h"
#include "Core/WavFile.h"
#include "CoreMinimal.h"
#include "Misc/AutomationTest.h"
#include "RestBridgeModule.h"
#include "rest_bridge/rest_bridge.h"

#if WITH_DEV_AUTOMATION_TESTS

IMPLEMENT_SIMPLE_AUTOMATION_TEST(FRestBridgeLibraryTest, "RestBridge.Library", EAutomationTestFlags::EditorContext | EAutomationTestFlags::EngineFilter)

bool FRestBridgeLibraryTest::RunTest(const FString&)
{
	TestTrue(TEXT("the native library is loaded"), FRestBridgeModule::Get().IsLibraryLoaded());
	TestEqual(TEXT("its version"), FString(UTF8_TO_TCHAR(rb_version())).Left(2), FString(TEXT("1.")));
	TestEqual(TEXT("first curve"), FString(UTF8_TO_TCHAR(RestBridgeCore::CurveNames()[0].c_str())), FString(TEXT("EyeBlinkLeft")));
	// A message of another version is refused, as PROTOCOL.md asks.
	const uint8 Garbage[8] = {'R', 'G', 'B', 'A', 2, 0, 0, 0};
	rb_message Message;
	TestEqual(TEXT("another version"), static_cast<int32>(rb_message_decode(Garbage, sizeof Garbage, &Message)), static_cast<int32>(RB_PROTOCOL));
	return true;
}

#endif
